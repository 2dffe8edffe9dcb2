/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The control socket: how the controller changes a backend's policy and limits while it runs, looks at its sockets, and hears of what
 * it refused. docs/pvcalls.md, "Control", has the messages. The controller can go and come back; without it, all goes on as it was.
 *
 * Nothing that a guest sends comes here but addresses and numbers.
 */

#include <systemd/sd-event.h>

#include "device.h"

struct control;

/*
 * Listens at path, where a socket that nobody listens at any more is replaced. Whoever may connect may do everything: it is its owner's
 * alone (0600). terms is kept, and changed.
 */
int control_new(struct control **ret_control, sd_event *event, const char *path, struct guest_terms *terms);
struct control *control_free(struct control *control);

static inline void control_freep(struct control **control) {
        control_free(*control);
}

/* Whose sockets these are. Before that, there are none. */
void control_set_device(struct control *control, struct device *device);

/* Tell those who are connected. */
void control_tell_state(struct control *control, const char *state, const char *reason);
void control_tell_denied(struct control *control, enum policy_call call, const struct pvcalls_name *address, int rule, unsigned count);
