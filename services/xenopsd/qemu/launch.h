/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Launching: from a configuration to a QEMU whose monitor answers and whose guest stands still. Whatever goes wrong on the way, or if it
 * is cancelled, everything is taken away again before the operation ends.
 */

#include "action.h"

/*
 * Makes what QEMU is started with: directory, sockets, tap devices, command line. layout: the slots of a guest that comes from elsewhere,
 * or NULL. What was made is gone again if it fails.
 */
int launch_new(struct launch **ret_launch, struct qemu_guest *guest, const struct hypervisor_config *config, const struct facts *layout,
               bool is_incoming, struct idl_error *error);
struct launch *launch_free(struct launch *launch);

/* Goes on with on_ready when it is there. From the function that begins an operation, or later. */
void launch_begin(struct qemu_action *action, action_step_t on_ready);

/* Takes everything away, and ends the operation with this; error is moved and may be NULL. */
void launch_give_up(struct qemu_action *action, int r, struct idl_error *error);
void launch_give_up_because(struct qemu_action *action, const char *why);       /* BackendFailed */

/* It is up: what it is now is written down, and the operation ends. */
void launch_done(struct qemu_action *action, enum facts_phase phase);
