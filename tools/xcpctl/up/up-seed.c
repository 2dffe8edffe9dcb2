/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The cloud_init of a VM file: a disc called VM-seed, which says in its description of which texts it was made.
 *
 * A VM that is made gets one that says what the file does. Of one that is there, the disc is only looked at.
 */

#include <string.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "seed.h"
#include "ssh-key.h"
#include "up.h"

#define SR "org.xen.xcp.storage1.SR"
#define VDI "org.xen.xcp.storage1.VDI"
#define DESCRIPTION "cloud-init seed "

static char *seed_name(const struct up *up) {
        return g_strdup_printf("%s-seed", up->name);
}

/* Whether a disc was made of these texts. */
static bool is_of(const struct up *up, const char *vdi, const struct seed *seed, bool *ret_is, GError **error) {
        g_autoptr(GVariant) description = client_property(up->context, CLIENT_STORAGE, vdi, VDI, "Description", error);
        const char *text;

        if (!description)
                return false;
        text = g_variant_is_of_type(description, G_VARIANT_TYPE_STRING) ? g_variant_get_string(description, NULL) : "";
        *ret_is = g_str_has_prefix(text, DESCRIPTION) && strcmp(text + strlen(DESCRIPTION), seed->digest) == 0;
        return true;
}

static char *import(const struct up *up, const char *sr, const char *name, const struct seed *seed, int fd, GError **error) {
        g_auto(GVariantBuilder) spec = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_autofree char *description = g_strconcat(DESCRIPTION, seed->digest, NULL);
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        g_autoptr(GVariant) result = NULL;
        char *path = NULL;

        if (g_unix_fd_list_append(fds, fd, error) < 0)
                return NULL;
        g_variant_builder_add(&spec, "{sv}", "name", g_variant_new_string(name));
        g_variant_builder_add(&spec, "{sv}", "description", g_variant_new_string(description));
        if (!up_task(up->context, CLIENT_STORAGE, sr, SR, "ImportVDI", g_variant_new("(@a{sv}hs)", g_variant_builder_end(&spec), 0, "Raw"), fds,
                     &result, error))
                up_fail_at(up, up->vm->seed->place, error);
        else if (!g_variant_lookup(result, "vdi", "o", &path))
                context_fail(error, CONTEXT_ERROR_FAILED, "ImportVDI() did not say which disk it has made");
        return path;
}

static char *make(const struct up *up, const char *sr, const char *name, const struct seed *seed, GError **error) {
        int fd = seed_image(seed, error);
        char *path;

        if (fd < 0)
                return NULL;
        path = import(up, sr, name, seed, fd, error);
        close(fd);
        return path;
}

/* The disc; an old one of other texts makes way for a VM that is new. */
static char *find_or_make(const struct up *up, const struct seed *seed, bool is_new, GError **error) {
        g_autofree char *sr = up_find_sr(up, up->vm->seed, error), *name = seed_name(up), *path = NULL;
        bool is = false;
        uint64_t size;

        if (!sr || !up_find_vdi(up, sr, name, &path, &size, error) || (path && !is_of(up, path, seed, &is, error)))
                return NULL;
        if (is)
                return g_steal_pointer(&path);
        if (!is_new) {
                up_fail(up, up->vm->seed->place, error,
                        "cloud_init of %s is not what the VM was made with: xcpctl down, and up again, makes it anew with its disks", up->name);
                return NULL;
        }
        if (path && !up_task(up->context, CLIENT_STORAGE, path, VDI, "Destroy", NULL, NULL, NULL, error)) {
                up_fail_at(up, up->vm->seed->place, error);
                return NULL;
        }
        ssh_key_forget_guest(up->name);         /* what it shows of itself is made with all else that cloud-init makes anew */
        return make(up, sr, name, seed, error);
}

GVariant *up_seed(const struct up *up, bool is_new, GError **error) {
        g_auto(GVariantBuilder) spec = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_autofree char *vdi = NULL;
        struct seed seed;

        if (seed_compose(&seed, up->name, up->vm->seed, error))
                vdi = find_or_make(up, &seed, is_new, error);
        seed_clear(&seed);
        if (!vdi)
                return NULL;
        g_variant_builder_add(&spec, "{sv}", "name", g_variant_new_string("seed"));
        g_variant_builder_add(&spec, "{sv}", "vdi", g_variant_new_object_path(vdi));
        g_variant_builder_add(&spec, "{sv}", "kind", g_variant_new_string("CdRom"));
        g_variant_builder_add(&spec, "{sv}", "mode", g_variant_new_string("ReadOnly"));
        return g_variant_ref_sink(g_variant_builder_end(&spec));
}

bool down_seed(const struct up *up, GError **error) {
        g_autofree char *sr = up_find_sr(up, up->vm->seed, error), *name = seed_name(up), *path = NULL;
        uint64_t size;

        if (!sr || !up_find_vdi(up, sr, name, &path, &size, error))
                return false;
        if (path && !up_task(up->context, CLIENT_STORAGE, path, VDI, "Destroy", NULL, NULL, NULL, error))
                return up_fail_at(up, up->vm->seed->place, error);
        return true;
}
