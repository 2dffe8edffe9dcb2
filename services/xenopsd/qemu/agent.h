/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A guest's agent: qemu-ga, or whoever listens at the guest's end of the channel org.qemu.guest_agent.0 and says what addresses the guest has
 * (QEMU, qga/qapi-schema.json, guest-network-get-interfaces).
 *
 * The guest is not trusted. It may answer or not; what is no answer ends the connection, and is nobody else's trouble. It is asked again
 * and again, since nothing tells when addresses change.
 */

#include <systemd/sd-event.h>

#include "addresses.h"

#define AGENT_ASK_MS 1000u              /* while it has no address to tell */
#define AGENT_ASK_AGAIN_MS 10000u

struct agent;
typedef void (*agent_changed_t)(void *userdata);

/* fd is the channel's socket, and taken. facts: whose MAC addresses are of interest; kept. */
int agent_new(struct agent **ret_agent, sd_event *event, int fd, const struct facts *facts, agent_changed_t changed, void *userdata);
struct agent *agent_free(struct agent *agent);

/* It said what is no answer, or hung up, and is not heard any more. */
bool agent_is_over(const struct agent *agent);

/* What it said last. */
const struct addresses *agent_addresses(const struct agent *agent);

/* What guest-network-get-interfaces returned. */
struct json_object;
void agent_read_interfaces(struct json_object *untrusted, const struct facts *facts, struct addresses *addresses);
