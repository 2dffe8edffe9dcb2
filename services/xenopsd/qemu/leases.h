/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Leases: what addresses dnsmasq, as the host's DHCP server, has given to whose MAC addresses (its file of leases, --dhcp-leasefile). */

#include "addresses.h"

#define LEASES_PATH "/var/lib/misc/dnsmasq.leases"      /* Debian's; $XCP_LEASES names another */
#define LEASES_SIZE_MAX (1u << 20)      /* 10,000 leases; what comes after that is not read */

/* Adds those of a guest's interfaces that have not run out. now: seconds since 1970. What is no lease is passed over. */
void leases_parse(char *untrusted_text, uint64_t now, const struct facts *facts, struct addresses *addresses);

/* The same from the file. -ENOENT if there is none. */
int leases_read(const struct facts *facts, struct addresses *addresses);
