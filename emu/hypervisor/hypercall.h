/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hypercalls: what a domain's processes ask over DOMAIN/xen. One packet in, one reply out, nothing waits; every check of the packet
 * is here, and no socket.
 */

#include <stddef.h>

#include "handle.h"
#include "reply.h"

/*
 * Does what the packet asks for on behalf of handle. ret_reply need not be initialized.
 *
 * Returns the result to answer: 0, or a negative errno: -EMSGSIZE if the packet is not as long as its operation says, -EOPNOTSUPP
 * for an unknown operation, -EINVAL for a reserved field that is not 0, or what protocol.h says. On -EINVAL of EMU_GRANT_MAP
 * ret_reply holds the statuses.
 */
int hypercall(struct handle *handle, const void *untrusted_packet, size_t n_packet, struct reply *ret_reply);
