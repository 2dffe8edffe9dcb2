/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* org.xen.xcp.bridge1.Manager.MoveService(): moves as tasks of the hub, between any of the domains that it joins. */

#include "hub.h"

int hub_move_service(struct hub *hub, struct idl_call *call, const char *name, uint32_t domain, struct idl_error *error);

/* Another domain has started the service that is to stand by, or could not. A tag that is no move's is passed over. */
void hub_move_started(struct hub_link *link, uint64_t tag, const char *error, const char *text);

/* The link is lost. */
void hub_moves_forget(struct hub_link *link);
