/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Diagnostics1: what clients see of how a service is. Between diagnostics.h and the code generated from the interface. */

#include <stdio.h>

#include <systemd/sd-bus.h>

#include "diagnostics.h"
#include "tasks.h"

#define DUMP_SECTION_MAX (192u * 1024)  /* bytes of each of the five sections, so that a dump keeps below 1 MiB */

/* What does not change. All of it has to live as long as the object. */
struct diagnostics_about {
        const char *instance;
        const char *const *features;    /* NULL ends it */
        const char *bus_address, *state_dir;
        void (*dump)(void *userdata, FILE *f);  /* the service's own section; may be NULL */
        void **userdata;
};

struct diagnostics_object;

int diagnostics_object_new(struct diagnostics_object **ret_object, sd_bus *bus, const char *path, const struct diagnostics_about *about,
                           struct diagnostics *diagnostics, struct tasks *tasks);
struct diagnostics_object *diagnostics_object_free(struct diagnostics_object *object);

static inline void diagnostics_object_freep(struct diagnostics_object **object) {
        diagnostics_object_free(*object);
}
