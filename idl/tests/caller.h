/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: an sd-bus client that knows nothing of the test service but its address. */

#include <glib.h>
#include <systemd/sd-bus.h>

#include "peer.h"
#include "service.h"
#include "test1-everything.h"

#define EVERYTHING NULL, TEST_PATH, TEST1_EVERYTHING_INTERFACE   /* destination, path, interface */

struct caller {
        struct peer peer;
        sd_bus *bus;
};

/* Starts the service and connects to it; ends both. */
void caller_set_up(struct caller *f, gconstpointer data);
void caller_tear_down(struct caller *f, gconstpointer data);

/* A call of one of its methods, to be filled by append(). */
sd_bus_message *new_call(struct caller *f, const char *member);

#define append(m, ...) g_assert_cmpint(sd_bus_message_append(m, __VA_ARGS__), >=, 0)

/* The arguments of a message, as sd_bus_message_dump() has them. To be freed. */
char *body_text(sd_bus_message *m);

/* Calls, and checks that what comes back is what was sent. Consumes the call. */
void check_echo(struct caller *f, sd_bus_message *call);

/* Calls, and checks the error: its name and its sentence. Consumes the call. */
void check_error(struct caller *f, sd_bus_message *call, const char *name, const char *message);
