/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.images1.Manager. */

#include <errno.h>

#include "idl-errors.h"
#include "images.h"
#include "images1-manager.h"

static int on_pull(void *object, struct idl_call *call, const char *source, const struct xcp_pull_options *options, struct idl_error *error) {
        const char *path;
        int r;

        r = pull_begin(object, call, source, options, &path, error);
        return r < 0 ? r : images1_manager_reply_pull(call, path);
}

static int on_list_images(void *object, struct idl_call *call, struct idl_error *error) {
        const struct images *images = object;
        size_t n = objects_count(images->objects), i = 0;
        struct xcp_image_summary *summaries = idl_arena_alloc(idl_call_arena(call), n + 1, sizeof *summaries);

        if (!summaries)
                return -errno;
        for (const struct image *image = images->first; image && i < n; image = image->next)
                summaries[i++] = (struct xcp_image_summary) { image->path, image->name, image->digest, image->size, image->pulled_usec, image->source };
        return images1_manager_reply_list_images(call, summaries, i);
}

static int on_lookup_image(void *object, struct idl_call *call, const char *reference, struct idl_error *error) {
        const struct image *image = images_find(object, reference);

        return image ? images1_manager_reply_lookup_image(call, image->path) : idl_error_set_does_not_exist(error, "image", reference);
}

static const struct images1_manager_handlers handlers = {
        .pull = on_pull,
        .list_images = on_list_images,
        .lookup_image = on_lookup_image,
};

int manager_export(struct images *images) {
        return images1_manager_export(images->bus, NULL, service_path(images->service), &handlers, images);
}
