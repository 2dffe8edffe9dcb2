/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A service's insides, which service.c shares with handover*.c. */

#include "diagnostics-object.h"
#include "handover.h"
#include "options.h"
#include "service.h"

struct service {
        const struct service_kind *kind;
        struct options options;
        char *program;                  /* xcp-NAME */
        char *bus_name;
        char *path;
        char instance[SD_ID128_STRING_MAX];
        sd_event *event;
        sd_bus *bus;
        struct database *db;
        struct tasks *tasks;
        struct diagnostics diagnostics;
        struct diagnostics_object *diagnostics_object;
        struct handover *handover;      /* NULL: the service cannot be moved */
        void *userdata;
        bool owns_name;                 /* and answers what came for it, at the end */
        bool stopping;
};

/* Opens its databases, and has it export its objects. Nothing is read from the bus before service_listen(). */
int service_bring_up(struct service *service, const char *tasks_of_bus);

/* Reads the bus, or does not: then what comes stays with the bus, within its limits. */
int service_listen(struct service *service);
void service_hold(struct service *service);
