/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pace of a guest that is on its way: how much of it has gone, which is told as the progress of its operation, and whether it stands still.
 *
 * Its other end may live and not take anything any more, as a manager that is stopped, or a file of a server that does not answer.
 */

#include "action.h"

/* Looks again and again, in place of other commands of the action, until it does something else. on_stalled: nothing has gone for host.stall_ms. */
void pace_watch(struct qemu_action *action, action_step_t on_stalled);
