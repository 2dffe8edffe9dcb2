/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The disks of a VM file: found, or made, or grown.
 *
 * A disk that up makes is called VM-DISK in its storage repository. One that has this name already is taken as it is: so up can be repeated
 * whatever it was interrupted in, and a VM that was removed finds its disks again.
 *
 * A look goes first: it finds what can be found, makes and grows nothing, and fails where the rest would.
 */

#include <string.h>

#include "objects.h"
#include "up.h"

#define SR "org.xen.xcp.storage1.SR"
#define VDI "org.xen.xcp.storage1.VDI"

static char *vdi_name(const struct up *up, const struct wish *disk) {
        return g_strdup_printf("%s-%s", up->name, wish_text(disk, "name"));
}

/* The storage repository that the file names, or the only one. To be freed. */
char *up_find_sr(const struct up *up, const struct wish *disk, GError **error) {
        const char *name = wish_text(disk, "sr");
        g_autoptr(GPtrArray) all = NULL;
        char *path = NULL;

        if (name) {
                path = objects_find(up->context, PARAMETER_SR, NULL, name, error);
                if (!path)
                        up_fail_at(up, wish_place(disk, "sr"), error);
                return path;
        }
        all = objects_list(up->context, PARAMETER_SR, NULL, error);
        if (!all)
                return NULL;
        if (all->len == 1)
                return g_strdup(((const struct candidate *) all->pdata[0])->path);
        up_fail(up, disk->place, error, all->len == 0 ? "there is no storage repository for the disk: xcpctl sr create makes one"
                                                      : "there are several storage repositories: say which with sr");
        return NULL;
}

/* The disk of that name: *ret_path is NULL if there is none. */
bool up_find_vdi(const struct up *up, const char *sr, const char *wanted, char **ret_path, uint64_t *ret_size, GError **error) {
        g_autoptr(GVariant) results = client_call(up->context, CLIENT_STORAGE, sr, SR, "ListVDIs", NULL, NULL, NULL, error);
        GVariantIter *iter;
        const char *path, *name;
        guint64 size;

        *ret_path = NULL;
        if (!results)
                return false;
        if (!g_variant_is_of_type(results, G_VARIANT_TYPE("(a(osst))")))
                return context_fail(error, CONTEXT_ERROR_FAILED, "ListVDIs() answered with %s", g_variant_get_type_string(results));
        g_variant_get(results, "(a(osst))", &iter);
        while (!*ret_path && g_variant_iter_next(iter, "(&o&s&st)", &path, NULL, &name, &size))
                if (strcmp(name, wanted) == 0) {
                        *ret_path = g_strdup(path);
                        *ret_size = size;
                }
        g_variant_iter_free(iter);
        return true;
}

static char *make_vdi(const struct up *up, const struct wish *disk, const char *sr, const char *name, GError **error) {
        g_auto(GVariantBuilder) spec = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_autoptr(GVariant) result = NULL;
        char *path = NULL;

        g_variant_builder_add(&spec, "{sv}", "name", g_variant_new_string(name));
        g_variant_builder_add(&spec, "{sv}", "size", wish_get(disk, "size"));
        if (!up_task(up->context, CLIENT_STORAGE, sr, SR, "CreateVDI", g_variant_new("(@a{sv})", g_variant_builder_end(&spec)), NULL, &result, error))
                up_fail_at(up, wish_place(disk, "size"), error);
        else if (!g_variant_lookup(result, "vdi", "o", &path))
                context_fail(error, CONTEXT_ERROR_FAILED, "CreateVDI() did not say which disk it has made");
        return path;
}

bool up_is_own(const struct wish *disk) {
        return wish_get(disk, "size") || wish_get(disk, "image");
}

/* Makes a disk that is not there. */
static bool make_own(const struct up *up, const struct wish *disk, const char *sr, const char *name, char **ret_path, uint64_t *ret_size, GError **error) {
        g_autofree char *made = wish_get(disk, "image") ? up_image_disk(up, disk, sr, name, error) : make_vdi(up, disk, sr, name, error);

        return made && up_find_vdi(up, sr, name, ret_path, ret_size, error);
}

/* The disk that up makes, there already or not: *ret_path stays NULL if it is not, and this is a look only. */
static bool own_vdi(const struct up *up, const struct wish *disk, enum up_effect effect, char **ret_path, GError **error) {
        g_autofree char *sr = up_find_sr(up, disk, error), *name = vdi_name(up, disk);
        uint64_t wanted = wish_get(disk, "size") ? g_variant_get_uint64(wish_get(disk, "size")) : 0, size = 0;
        bool is_new;

        if (!sr || !up_find_vdi(up, sr, name, ret_path, &size, error))
                return false;
        if (effect == UP_LOOK)
                return true;
        is_new = !*ret_path;
        if (is_new && !make_own(up, disk, sr, name, ret_path, &size, error))
                return false;
        if (size >= wanted)
                return true;
        if (!up_task(up->context, CLIENT_STORAGE, *ret_path, VDI, "Resize", g_variant_new("(t)", wanted), NULL, NULL, error))
                return up_fail_at(up, wish_place(disk, "size"), error);
        if (!is_new)
                up_note(up, "disks", wish_text(disk, "name"), "size");
        return true;
}

GVariant *up_disk(const struct up *up, const struct wish *disk, enum up_effect effect, GError **error) {
        g_autofree char *vdi = NULL;
        const char *text = wish_text(disk, "vdi");
        GVariantBuilder *spec;
        GVariant *record;

        if (text) {
                vdi = objects_find(up->context, PARAMETER_VDI, NULL, text, error);
                if (!vdi) {
                        up_fail_at(up, wish_place(disk, "vdi"), error);
                        return NULL;
                }
        } else if (up_is_own(disk) && !own_vdi(up, disk, effect, &vdi, error))
                return NULL;
        spec = wish_record(disk, "DiskSpec");
        if (vdi)
                g_variant_builder_add(spec, "{sv}", "vdi", g_variant_new_object_path(vdi));
        record = g_variant_ref_sink(g_variant_builder_end(spec));
        g_variant_builder_unref(spec);
        return record;
}

bool down_disk(const struct up *up, const struct wish *disk, GError **error) {
        g_autofree char *sr = NULL, *name = vdi_name(up, disk), *path = NULL;
        uint64_t size;

        if (!up_is_own(disk))
                return true;
        sr = up_find_sr(up, disk, error);
        if (!sr || !up_find_vdi(up, sr, name, &path, &size, error))
                return false;
        if (path && !up_task(up->context, CLIENT_STORAGE, path, VDI, "Destroy", NULL, NULL, NULL, error))
                return up_fail_at(up, disk->place, error);
        return true;
}
