/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The programs that dbus-broker asks us to start: one for each name that can be activated. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "activation.h"

struct service {
        char *name;
        char **argv;
        unsigned id;                    /* of its object in the broker, /org/bus1/DBus/Name/ID */
        uint64_t serial;                /* of the last activation; means nothing unless waiting */
        bool waiting;                   /* for the program to take its name, as far as we know: nobody tells us that it has */
        pid_t pid;                      /* of the program, while it runs */
        sd_event_source *timer;
        struct services *services;
};

/* Called when an activation has failed. */
typedef void (*service_failed_t)(struct service *service, void *userdata);

struct services {
        struct service **items;
        size_t n_items;
        unsigned last_id;
        uint64_t activation_ms;
        const char *const *environment;
        sd_event *event;
        service_failed_t failed;
        void *userdata;
};

void services_done(struct services *services);

/* Returns the service of that name or object, or NULL. */
struct service *services_find(const struct services *services, const char *name);
struct service *services_find_id(const struct services *services, const char *id);

/* Adds a service for a name that has none. Returns 0 or -ENOMEM. */
int services_add(struct services *services, const struct activation *activation, struct service **ret_service);

/* Gives a service a new command. Returns 0 or -ENOMEM. */
int service_update(struct service *service, const struct activation *activation);

void services_remove(struct services *services, struct service *service);

/* Starts the program, unless it runs. If it cannot be, ends with an error or is not done in time, the activation has failed. */
void service_activate(struct service *service, uint64_t serial);

/* Tells that a child has ended. */
void services_child_ended(struct services *services, pid_t pid, int status);
