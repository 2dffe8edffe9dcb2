/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcpctl sr: storage repositories. */

#include "objects.h"
#include "operation.h"
#include "property.h"

#define MANAGER "org.xen.xcp.storage1.Manager"
#define SR "org.xen.xcp.storage1.SR"

static bool run_show(struct context *context, const struct arguments *arguments, GError **error) {
        return property_show(context, PARAMETER_SR, NULL, arguments_get(arguments, "SR"), error);
}

static bool run_set(struct context *context, const struct arguments *arguments, GError **error) {
        return property_set(context, PARAMETER_SR, arguments_get(arguments, "SR"), arguments_get(arguments, "PROPERTY"),
                            arguments_get(arguments, "VALUE"), error);
}

#define SR_PARAMETER { "SR", PARAMETER_SR, "Its name, its UUID or the beginning of that, or its object path." }
#define JUST_SR .parameters = (const struct parameter[]) { SR_PARAMETER, {} }
#define SPEC_PARAMETERS                                                                                                                       \
        { "NAME", PARAMETER_TEXT, "What people call it; of no other SR.", .type = "s", .key = "name" },                                       \
        { "DRIVER", PARAMETER_TEXT, "Its kind, one of sr drivers.", .type = "s", .key = "driver" }, PARAMETER_KEYS_OF("SRSpec")

const struct command sr_commands[] = {
        {
                .name = "sr list",
                .summary = "List storage repositories.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "ListSRs"),
        },
        { .name = "sr show", .summary = "Show all about a storage repository.", JUST_SR, .run = run_show },
        {
                .name = "sr create",
                .summary = "Make a new storage repository, attach it, and print its UUID.",
                .details = "What the driver needs to know goes into --config, as in --config path=/srv/disks; sr drivers tells what there is.",
                .parameters = (const struct parameter[]) { SPEC_PARAMETERS, {} },
                OPERATION(MANAGER, "CreateSR"),
        },
        {
                .name = "sr introduce",
                .summary = "Take in a storage repository that was made elsewhere or forgotten, and attach it.",
                .parameters = (const struct parameter[]) { SPEC_PARAMETERS, {} },
                OPERATION(MANAGER, "IntroduceSR"),
        },
        { .name = "sr attach", .summary = "Make its disks usable.", JUST_SR, OPERATION(SR, "Attach") },
        { .name = "sr detach", .summary = "Let go of its storage.", JUST_SR, OPERATION(SR, "Detach") },
        { .name = "sr scan", .summary = "Look for what has changed behind the service's back.", JUST_SR, OPERATION(SR, "Scan") },
        { .name = "sr space", .summary = "Show how much space there is.", JUST_SR, OPERATION(SR, "GetSpace") },
        { .name = "sr forget", .summary = "Remove it from the service, and leave its storage as it is.", JUST_SR, OPERATION(SR, "Forget") },
        { .name = "sr destroy", .summary = "Remove it with everything that it holds.", JUST_SR, OPERATION(SR, "Destroy") },
        {
                .name = "sr set",
                .summary = "Change a property of it.",
                .parameters = (const struct parameter[]) {
                        SR_PARAMETER,
                        { "PROPERTY", PARAMETER_PROPERTY, "Name or Description.", .type = SR },
                        { "VALUE", PARAMETER_VALUE, "The value.", .type = SR },
                        {},
                },
                .run = run_set,
        },
        {
                .name = "sr drivers",
                .summary = "List the kinds of storage repositories.",
                .details = "OPTIONS are the keys of the configuration that sr create takes; as JSON, each comes with a sentence about it.",
                .parameters = (const struct parameter[]) { {} },
                OPERATION(MANAGER, "ListDrivers"),
        },
        {},
};
