/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which addresses are carried to the backend. All others are the program's own network, as without us. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "name.h"

#define RANGES_MAX 64u
#define RANGES_PATHS_MAX 16u
#define RANGES_PATH_SIZE 108u           /* a sockaddr_un's, and the byte 0 at the end of one that is that long */

struct ranges {
        size_t n, n_paths;
        struct {
                int family;             /* AF_INET or AF_INET6 */
                uint32_t bits;
                uint8_t address[16];    /* of IPv4 the first four; what is behind the bits is zero */
        } range[RANGES_MAX];
        char path[RANGES_PATHS_MAX][RANGES_PATH_SIZE + 1];      /* of UNIX sockets; an abstract name has an @ in place of its byte 0 */
        bool datagrams;                 /* carry UDP sockets as well */
        bool except_loopback;           /* without a list: all but what a domain's own programs talk over, loopback, and of IPv6 a link's own addresses */
};

/*
 * All but loopback; all; or ADDRESS[/BITS],... -EINVAL: it is no such list. They replace each other's addresses, and none is of IPv6 unless it says
 * so. Ranges begin as zeroes.
 */
void ranges_default(struct ranges *ranges);
void ranges_all(struct ranges *ranges);
int ranges_parse(struct ranges *ranges, const char *text);

/* All of IPv6 besides, or all but loopback, if that is so of IPv4. */
int ranges_add_v6(struct ranges *ranges);

/* UNIX sockets: /PATH (itself, and what is below it) or @NAME,... */
int ranges_add_paths(struct ranges *ranges, const char *text);

/* Whether a connection there is carried. */
bool ranges_have(const struct ranges *ranges, const struct pvcalls_name *name);

/* Whether a listener is. One for any address is, in any case: who asks for it wants to be reached. */
bool ranges_have_listener(const struct ranges *ranges, const struct pvcalls_name *name);

/* Whether anything of IPv6 is. */
bool ranges_have_v6(const struct ranges *ranges);
