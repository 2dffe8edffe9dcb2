/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Workers: threads that do what takes time, each with a context of libxl and a connection to xenstored of its own.
 *
 * Work of one lane is done one after the other, in the order in which it was given; work without a lane is not held up by any of it. A
 * piece of work is the caller's until workers_add(), and again when end() is called, from the event loop. In between nobody but run()
 * touches it.
 */

#include <stdbool.h>

#include <systemd/sd-event.h>

#include "context.h"

struct xs_handle;
struct workers;

struct worker_tools {
        libxl_ctx *ctx;
        struct xs_handle *store;
};

struct work {
        void (*run)(struct work *work, const struct worker_tools *tools);
        void (*end)(struct work *work);
        const void *lane;               /* NULL: none */
        char why[CONTEXT_WHY_SIZE];        /* the first thing libxl complained about */
        struct work *next;              /* the workers' */
};

int workers_new(struct workers **ret_workers, sd_event *event);

/* What is being done is done, what is not is not begun; end() is called for all of it. */
struct workers *workers_free(struct workers *workers);

void workers_add(struct workers *workers, struct work *work);

/* Takes work back that nobody has begun: then end() is not called. */
bool workers_take_back(struct workers *workers, struct work *work);

