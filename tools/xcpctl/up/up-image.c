/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Disks of a VM file that begin as an image: a clone of a disk that is the image, which is imported once in each storage repository.
 *
 * That disk is called image-DIGEST, by the first digits of the digest, and says all of them in its description. Where the storage repository can
 * have it, it is qcow2, so that a clone takes no more than what it changes.
 */

#include <string.h>

#include <gio/gunixfdlist.h>

#include "objects.h"
#include "quantity.h"
#include "up.h"

#define MANAGER "org.xen.xcp.images1.Manager"
#define IMAGE "org.xen.xcp.images1.Image"
#define SR "org.xen.xcp.storage1.SR"
#define VDI "org.xen.xcp.storage1.VDI"
#define DIGITS 16

/* The path in a task's result; to be freed. */
static char *path_of_result(GVariant *result, const char *key, GError **error) {
        char *path = NULL;

        if (!g_variant_lookup(result, key, "o", &path))
                context_fail(error, CONTEXT_ERROR_FAILED, "the task's result has no %s", key);
        return path;
}

/* The image, pulled if the file says where from; to be freed. */
static char *find_image(const struct up *up, const struct wish *disk, GError **error) {
        const char *text = wish_text(disk, "image"), *checksum = wish_text(disk, "checksum");
        g_auto(GVariantBuilder) options = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_autofree char *root = client_root(CLIENT_IMAGES);
        g_autofree char *source = g_strdup_printf("%s %s", text, checksum ? checksum : "");
        g_autoptr(GVariant) result = NULL;
        char *path;

        if (!strstr(text, "://"))
                return objects_find(up->context, PARAMETER_IMAGE, NULL, text, error);
        if (g_hash_table_contains(up->pulled, source))
                return g_strdup(g_hash_table_lookup(up->pulled, source));
        if (checksum)
                g_variant_builder_add(&options, "{sv}", "checksum", g_variant_new_string(checksum));
        if (!up_task(up->context, CLIENT_IMAGES, root, MANAGER, "Pull", g_variant_new("(s@a{sv})", text, g_variant_builder_end(&options)), NULL, &result,
                     error))
                return NULL;
        path = path_of_result(result, "image", error);
        if (path)
                g_hash_table_insert(up->pulled, g_steal_pointer(&source), g_strdup(path));
        return path;
}

static char *text_property(const struct up *up, const char *service, const char *path, const char *interface, const char *name, GError **error) {
        g_autoptr(GVariant) value = client_property(up->context, service, path, interface, name, error);

        if (!value)
                return NULL;
        if (g_variant_is_of_type(value, G_VARIANT_TYPE_STRING))
                return g_variant_dup_string(value, NULL);
        context_fail(error, CONTEXT_ERROR_FAILED, "%s is of type %s", name, g_variant_get_type_string(value));
        return NULL;
}

/* Imports it. */
static char *import(const struct up *up, const char *image, const char *sr, const char *name, const char *digest, GError **error) {
        g_autofree char *format = text_property(up, CLIENT_IMAGES, image, IMAGE, "Format", error);
        g_autofree char *driver = format ? text_property(up, CLIENT_STORAGE, sr, SR, "Driver", error) : NULL;
        g_auto(GVariantBuilder) spec = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
        g_autoptr(GVariant) opened = NULL, result = NULL;
        g_autoptr(GUnixFDList) fds = NULL;

        opened = driver ? client_call(up->context, CLIENT_IMAGES, image, IMAGE, "Open", NULL, NULL, &fds, error) : NULL;
        if (!opened)
                return NULL;
        if (!fds || g_unix_fd_list_get_length(fds) != 1) {
                context_fail(error, CONTEXT_ERROR_FAILED, "Open() answered without a descriptor");
                return NULL;
        }
        g_variant_builder_add(&spec, "{sv}", "name", g_variant_new_string(name));
        g_variant_builder_add(&spec, "{sv}", "description", g_variant_new_string(digest));
        if (strcmp(driver, "directory") == 0)
                g_variant_builder_add(&spec, "{sv}", "format", g_variant_new_string("Qcow2"));
        if (!up_task(up->context, CLIENT_STORAGE, sr, SR, "ImportVDI", g_variant_new("(@a{sv}hs)", g_variant_builder_end(&spec), 0, format), fds, &result,
                     error))
                return NULL;
        return path_of_result(result, "vdi", error);
}

/* The disk that is the image; to be freed. */
static char *find_base(const struct up *up, const char *image, const char *sr, GError **error) {
        g_autofree char *digest = text_property(up, CLIENT_IMAGES, image, IMAGE, "Digest", error), *name = NULL, *path = NULL, *found = NULL;
        uint64_t size;

        if (!digest)
                return NULL;
        name = g_strdup_printf("image-%.*s", DIGITS, strchr(digest, ':') ? strchr(digest, ':') + 1 : digest);
        if (!up_find_vdi(up, sr, name, &path, &size, error))
                return NULL;
        if (!path)
                return import(up, image, sr, name, digest, error);
        found = text_property(up, CLIENT_STORAGE, path, VDI, "Description", error);
        if (found && strcmp(found, digest) == 0)
                return g_steal_pointer(&path);
        if (found)
                context_fail(error, CONTEXT_ERROR_FAILED, "the disk %s is not the image %s", name, digest);
        return NULL;
}

/* A disk is not made smaller than what it begins as: that would be cut off. */
static bool fits(const struct up *up, const struct wish *disk, const char *image, GError **error) {
        g_autoptr(GVariant) value = client_property(up->context, CLIENT_IMAGES, image, IMAGE, "Size", error);
        GVariant *wanted = wish_get(disk, "size");
        g_autofree char *text = NULL;

        if (!value || !wanted)
                return value;
        if (!g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64))
                return context_fail(error, CONTEXT_ERROR_FAILED, "Size is of type %s", g_variant_get_type_string(value));
        if (g_variant_get_uint64(wanted) >= g_variant_get_uint64(value))
                return true;
        text = quantity_format_size(g_variant_get_uint64(value));
        return context_fail(error, CONTEXT_ERROR_FAILED, "the image has %s, and size is less", text);
}

char *up_image_disk(const struct up *up, const struct wish *disk, const char *sr, const char *name, GError **error) {
        g_autofree char *image = find_image(up, disk, error);
        g_autofree char *base = image && fits(up, disk, image, error) ? find_base(up, image, sr, error) : NULL;
        g_autoptr(GVariant) result = NULL;

        if (!base || !up_task(up->context, CLIENT_STORAGE, base, VDI, "Clone", g_variant_new("(s)", name), NULL, &result, error)) {
                up_fail_at(up, wish_place(disk, "image"), error);
                return NULL;
        }
        return path_of_result(result, "vdi", error);
}
