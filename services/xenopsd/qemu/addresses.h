/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Addresses of a guest: a list without doubles, of those that others can reach it at. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "facts.h"

struct address {
        char text[INET6_ADDRSTRLEN];
        char mac[FACTS_MAC_SIZE];
        enum xcp_address_source source;
};

struct addresses {
        size_t n;
        struct address list[HYPERVISOR_ADDRESSES_MAX];
};

/*
 * Adds one, unless it is no address, one of a link or of the guest's own, there already, or one too many. The first who says it is its
 * source.
 */
void addresses_add(struct addresses *addresses, const char *untrusted_text, const char *mac, enum xcp_address_source source);

void addresses_add_all(struct addresses *addresses, const struct addresses *more);

bool addresses_equal(const struct addresses *a, const struct addresses *b);
