/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-images: the images of disks, pulled, verified and kept. */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "images.h"

/* In the build tree, the program beside this one. */
static const char *fetch_program(void) {
        static const char build_root[] = IMAGES_BUILD_ROOT "/";
        char path[PATH_MAX] = "";
        ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);

        return n > 0 && strncmp(path, build_root, sizeof build_root - 1) == 0 ? IMAGES_BUILD_ROOT "/services/images/xcp-images-fetch"
                                                                              : IMAGES_LIBEXEC "/xcp-images-fetch";
}

static int start(struct service *service, void **ret_userdata) {
        struct images *images;
        int r;

        images = calloc(1, sizeof *images);
        if (!images)
                return -ENOMEM;
        *ret_userdata = images;         /* from here on, stop() frees what there is */
        images->service = service;
        images->bus = service_bus(service);
        images->db = service_database(service);
        images->fetch_program = fetch_program();
        images->directory = open(service_state_dir(service), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (images->directory < 0)
                return -errno;
        r = image_export(images);
        if (r >= 0)
                r = manager_export(images);
        if (r >= 0)
                r = images_load(images);
        if (r >= 0)
                r = diagnostics_count(service_diagnostics(service), "pulls.downloaded", &images->n_downloaded);
        if (r >= 0)
                r = diagnostics_count(service_diagnostics(service), "pulls.cached", &images->n_cached);
        return r < 0 ? r : diagnostics_count(service_diagnostics(service), "pulls.failed", &images->n_failed);
}

static void stop(void *userdata) {
        struct images *images = userdata;

        objects_free(images->objects);
        while (images->first) {
                struct image *image = images->first;

                images->first = image->next;
                image_free(image);
        }
        if (images->directory >= 0)
                close(images->directory);
        free(images);
}

int main(int argc, char **argv) {
        const struct service_kind kind = {
                .name = "images",
                .about = "Images of disks, pulled from servers and registries.",
                .features = (const char *const[]) { "http", "oci", "zstd", "qcow2", NULL },
                .schema = images_schema,
                .start = start,
                .stop = stop,
        };

        return service_main(&kind, argc, argv);
}
