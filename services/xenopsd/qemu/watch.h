/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Watching a guest's addresses: what its agent says, what QEMU's own network has seen, and what the host's neighbours are, put together
 * and compared with what it was. Nothing tells when they change, so it is looked every few seconds while the guest runs.
 */

#include "agent.h"
#include "guest.h"

#define WATCH_MS 3000u

struct watch;

int watch_new(struct watch **ret_watch, struct qemu_guest *guest);
struct watch *watch_free(struct watch *watch);

/* Somebody in the guest has opened its end of the agent's channel, or has closed it. */
void watch_set_agent(struct watch *watch, bool is_open);

/* The guest boots anew. */
void watch_forget(struct watch *watch);

const struct addresses *watch_addresses(const struct watch *watch);
