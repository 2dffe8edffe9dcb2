/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a backend says, as the records of the bus.
 *
 * A backend that a guest has taken over may say anything: lines that are not understood are -EBADMSG, and what is understood is UTF-8 and
 * has numbers that fit. Texts are changed in place, and what is returned points into them.
 */

#include <stdbool.h>

#include "idl.h"
#include "xcp-types.h"

/* A line of `list`: socket SERIAL STATE LOCAL PORT REMOTE PORT NAME=VALUE... Names that are not known are left out. */
int report_socket(char *line, struct xcp_pvcalls_socket *ret_socket);

/* A line of `counters`. */
int report_counter(char *line, struct xcp_dict_s_t_entry *ret_entry);

/* STATE [REASON], of `state` and of the event. */
int report_state(char *text, enum xcp_pvcalls_state *ret_state, const char **ret_reason);

struct report_denied {
        enum xcp_pvcalls_call call;
        enum xcp_address_family family;
        const char *address;
        uint16_t port;
        int32_t rule;
        uint32_t count;
};

/* CALL ADDRESS PORT rule=N count=N, of the event denied. */
int report_denied(char *text, struct report_denied *ret_denied);
