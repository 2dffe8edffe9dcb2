/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Services: what is the same in all of them.
 *
 * A service says what it is in a struct service_kind, and its main() is service_main() with that. It then has a connection to the bus
 * with the name org.xen.xcp.NAME and an object manager at /org/xen/xcp/NAME, tasks below /org/xen/xcp/NAME/task, diagnostics, a
 * database, an event loop, and an orderly end. docs/writing-a-service.md goes through one.
 *
 * Nothing in a service blocks: what takes longer than an instant is work for a task, in a child process or on a descriptor or a timer
 * of the event loop.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "database.h"
#include "diagnostics.h"
#include "idl.h"
#include "log.h"
#include "objects.h"
#include "tasks.h"

struct handover_kind;
struct service;

struct service_kind {
        const char *name;               /* NAME, as in org.xen.xcp.NAME: lower-case letters and digits */
        const char *about;              /* what it does, in a sentence for --help */
        const char *const *features;    /* what this build of it can do, for clients that ask; NULL ends the list, and may be all of it */
        struct database_schema schema;  /* of NAME.db in the state directory; without steps, there is no database */

        /*
         * Brings it up: state is read, objects are exported. No call is answered before it returns. A negative errno, and a word in
         * the log, ends the service. What it puts into *ret_userdata goes to the functions below.
         */
        int (*start)(struct service *service, void **ret_userdata);

        /*
         * Lets go of everything, at the very end; also after a start that failed, if *ret_userdata was set. No task is left then:
         * what had not ended has been interrupted (tasks.h).
         */
        void (*stop)(void *userdata);

        /* How it is moved to another process: handover.h. NULL: it cannot be. Needs a database. */
        const struct handover_kind *handover;

        /* Adds what a bug report needs, and no secrets, to what the framework knows. May be NULL. */
        void (*dump)(void *userdata, FILE *f);
};

/* Runs a service until it is asked to stop. Returns the exit status. */
int service_main(const struct service_kind *kind, int argc, char **argv);

/* What the service's handover.quiesce() left to finish is finished. Nothing happens if nobody has asked. */
void service_quiet(struct service *service);

sd_bus *service_bus(struct service *service);
sd_event *service_event(struct service *service);
struct database *service_database(struct service *service);
struct tasks *service_tasks(struct service *service);
struct diagnostics *service_diagnostics(struct service *service);
const char *service_bus_name(struct service *service);          /* org.xen.xcp.NAME, or what --bus-name says */
const char *service_path(struct service *service);              /* /org/xen/xcp/NAME */
const char *service_state_dir(struct service *service);

/* Another connection to the bus, which belongs to no loop yet. When it ends, the service does. */
int service_connect(struct service *service, sd_bus **ret_bus);

/* Whether this process has its state from another, which served before it: handover.h. */
bool service_took_over(const struct service *service);
