/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rebuilding: Xen cannot have a domain boot anew, so another one takes its place, of the same configuration. That is written down before
 * the first one goes, so that a manager that ends in between finds what to make.
 */

#include "action.h"

/* Begins with an action that is under way, and ends it: another domain runs. */
void xen_rebuild(struct xen_action *action);

/* For recovery, which begins in the middle: with json, from which the new domain is made. */
void xen_rebuild_work(struct xen_action *action, const struct worker_tools *tools);
int xen_rebuild_end(struct xen_action *action, struct idl_error *error);
