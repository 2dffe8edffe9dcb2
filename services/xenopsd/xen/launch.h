/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Launching: a domain comes to be, from a configuration or from a stream, and stands still. That it is begun is written down before
 * anything is there. If it fails, or is cancelled, nothing is left.
 */

#include "action.h"

/* Writes down that it begins. name: the domain's. Afterwards the action has its configuration. */
int xen_launch_begin(struct xen_action *action, const struct hypervisor_config *config, const char *name, struct idl_error *error);

/* Makes it, from the configuration. */
void xen_launch_work(struct xen_action *action, const struct worker_tools *tools);

/* Ends the action: the guest is prepared, or with flag suspended, or nothing. */
void xen_launch_end(struct xen_action *action);
void xen_launch_give_up(struct xen_action *action, int r, struct idl_error *error);
