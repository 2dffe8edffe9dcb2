/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Socket addresses of every family that an extension carries (docs/pvcalls-extensions.md, "Addresses"), as this machine has them and as the
 * ring has them. Version 1 has IPv4's alone.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define PVCALLS_NAME_MAX 110u           /* bytes on the ring: a sockaddr_un */

struct pvcalls_name {                   /* of this machine. Zeroes: none */
        socklen_t size;
        union {
                struct sockaddr any;
                struct sockaddr_in inet;
                struct sockaddr_in6 inet6;
                struct sockaddr_un local;
        };
};

/*
 * Checks the bytes of an address (a private copy). Returns 0 and the address, -EINVAL for a length that its family cannot have, or
 * -EAFNOSUPPORT for a family that nothing carries. A path is without the byte 0 that may end it; an abstract name begins with one.
 */
int pvcalls_name_parse(const uint8_t *untrusted_bytes, uint32_t untrusted_n, struct pvcalls_name *ret_name);

/* The other way. Returns the length. */
uint32_t pvcalls_name_format(const struct pvcalls_name *name, uint8_t ret_bytes[PVCALLS_NAME_MAX]);

/* No address of a family (AF_INET and so on, of this machine), as a socket has that is bound to nothing. */
void pvcalls_name_init(struct pvcalls_name *name, int family);
bool pvcalls_name_equal(const struct pvcalls_name *a, const struct pvcalls_name *b);

/*
 * Makes the address that is to be connected or sent to that where this goes: to any address (0.0.0.0, ::, ::ffff:0.0.0.0) is over loopback, as
 * Linux has it. Who judges an address must judge this one.
 */
void pvcalls_name_make_destination(struct pvcalls_name *name);

/* In network order; 0 for those that have none. */
uint16_t pvcalls_name_port(const struct pvcalls_name *name);
void pvcalls_name_set_port(struct pvcalls_name *name, uint16_t port);
