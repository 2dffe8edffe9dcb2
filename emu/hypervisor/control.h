/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The control socket: what a toolstack asks (protocol.h, EMU_DOMAIN_CREATE and after). Its clients are trusted; their bytes are not. */

#include "connection.h"

int control_request(struct connection *connection, const void *untrusted_packet, size_t n_packet, struct reply *ret_reply,
                    void *hypervisor);
void control_closed(struct connection *connection, void *hypervisor);
