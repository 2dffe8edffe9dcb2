/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl image: images of disks. */

#include "objects.h"
#include "operation.h"
#include "property.h"

#define MANAGER "org.xen.xcp.images1.Manager"
#define IMAGE "org.xen.xcp.images1.Image"

static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        return property_show(context, PARAMETER_IMAGE, NULL, arguments_get(arguments, "IMAGE"), error);
}

#define IMAGE_PARAMETER { "IMAGE", PARAMETER_IMAGE, "Its name, its digest or the beginning of that, or its object path." }
#define JUST_IMAGE .parameters = (const struct parameter[]) { IMAGE_PARAMETER, {} }

const struct command image_commands[] = {
        { .name = "image list", .summary = "List the images that are kept.", .parameters = (const struct parameter[]) { {} }, OPERATION(MANAGER, "ListImages") },
        { .name = "image show", .summary = "Show all about an image.", JUST_IMAGE, .run = run_show },
        {
                .name = "image pull",
                .summary = "Get an image from a web server or registry, unless it is here already.",
                .details = "What had come when this was cancelled or failed is kept, and gone on with the next time.",
                .parameters = (const struct parameter[]) {
                        { "SOURCE", PARAMETER_TEXT, "https://..., http://..., oci://REGISTRY/REPOSITORY:TAG, or with @sha256:DIGEST; oci+http:// without TLS." },
                        PARAMETER_KEYS_OF("PullOptions"),
                        {},
                },
                OPERATION(MANAGER, "Pull"),
        },
        { .name = "image remove", .summary = "Remove an image. Disks that were made of it stay.", JUST_IMAGE, OPERATION(IMAGE, "Remove") },
        {},
};
