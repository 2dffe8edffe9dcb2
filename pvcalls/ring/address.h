/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Socket addresses as CONNECT and BIND carry them: Linux's sockaddr_in, of which the frontend also says how long it is. */

#include <netinet/in.h>
#include <stdint.h>

#include "layout.h"

/*
 * Checks the bytes of a request (a private copy). Returns 0 and the address, -EINVAL for a length that an IPv4 address cannot have, or
 * -EAFNOSUPPORT for another family.
 */
int pvcalls_address_parse(const uint8_t untrusted_addr[PVCALLS_ADDRESS_SIZE], uint32_t untrusted_len, struct sockaddr_in *ret_address);

/* The other way. Returns the length. */
uint32_t pvcalls_address_format(const struct sockaddr_in *address, uint8_t ret_addr[PVCALLS_ADDRESS_SIZE]);
