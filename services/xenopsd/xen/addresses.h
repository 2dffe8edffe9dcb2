/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Addresses of a guest. Those that it says it has, in xenstore: below /local/domain/N/attr, vif/DEVICE/ipv4/I and vif/DEVICE/ipv6/I as the guest
 * utilities of XenServer and XCP-ng write them now, and ethDEVICE/ip as they did. A guest may write anything there. And those that the host
 * has talked to at the MAC addresses of its interfaces.
 */

#include <stddef.h>
#include <stdint.h>

#include "xcp-types.h"

struct xs_handle;

/* All strings are for free(), and so is the array. Without memory, fewer are known. */
void addresses_read(struct xs_handle *store, uint32_t domid, struct xcp_guest_address **ret_addresses, size_t *ret_n);

/* Whether it is an address, and as which text it is told of; ret_text has INET6_ADDRSTRLEN bytes. */
int address_check(const char *untrusted, char *ret_text);
