/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.images1.Image. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "database-error.h"
#include "idl-errors.h"
#include "images.h"
#include "images1-image.h"

static int on_open(void *object, struct idl_call *call, struct idl_error *error) {
        const struct image *image = object;
        int fd = image_open(image), r;

        if (fd == -ENOENT)
                return idl_error_set_corrupt(error, "image", image->digest, "its file is not there");
        if (fd < 0)
                return idl_error_set_backend_failed(error, "the file system", "open the image", strerror(-fd));
        r = images1_image_reply_open(call, fd);
        close(fd);
        return r;
}

static int on_remove(void *object, struct idl_call *call, struct idl_error *error) {
        struct image *image = object;
        struct images *images = image->images;
        int r;

        r = images_remove(image);
        return r < 0 ? database_set_error(images->db, r, error) : images1_image_reply_remove(call);
}

static int get_digest(void *object, struct idl_arena *arena, const char **ret_digest) {
        *ret_digest = ((struct image *) object)->digest;
        return 0;
}

static int get_name(void *object, struct idl_arena *arena, const char **ret_name) {
        *ret_name = ((struct image *) object)->name;
        return 0;
}

static int get_source(void *object, struct idl_arena *arena, const char **ret_source) {
        *ret_source = ((struct image *) object)->source;
        return 0;
}

static int get_format(void *object, struct idl_arena *arena, enum xcp_vdi_format *ret_format) {
        *ret_format = ((struct image *) object)->format;
        return 0;
}

static int get_size(void *object, struct idl_arena *arena, uint64_t *ret_size) {
        *ret_size = ((struct image *) object)->size;
        return 0;
}

static int get_file_size(void *object, struct idl_arena *arena, uint64_t *ret_file_size) {
        *ret_file_size = ((struct image *) object)->file_size;
        return 0;
}

static int get_pulled_us(void *object, struct idl_arena *arena, uint64_t *ret_pulled_us) {
        *ret_pulled_us = ((struct image *) object)->pulled_usec;
        return 0;
}

static const struct images1_image_handlers handlers = {
        .open = on_open,
        .remove = on_remove,
        .get_digest = get_digest,
        .get_name = get_name,
        .get_source = get_source,
        .get_format = get_format,
        .get_size = get_size,
        .get_file_size = get_file_size,
        .get_pulled_us = get_pulled_us,
};

int image_add_object(struct image *image) {
        return objects_add(image->images->objects, image->hex, image, &image->path);
}

void image_emit_changed(struct image *image) {
        images1_image_emit_changed(image->images->bus, image->path, IMAGES1_IMAGE_PROPERTY_NAME | IMAGES1_IMAGE_PROPERTY_SOURCE);
}

int image_export(struct images *images) {
        int r;

        r = objects_new(&images->objects, images->bus, IMAGES_PREFIX);
        return r < 0 ? r : images1_image_export_tree(images->bus, NULL, IMAGES_PREFIX, &handlers, objects_find, images->objects);
}
