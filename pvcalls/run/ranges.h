/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which addresses are carried to the backend. All others are the program's own network, as without us. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANGES_MAX 64u

struct ranges {
        size_t n;
        struct {
                uint32_t address, mask; /* in this machine's order */
        } range[RANGES_MAX];
        bool datagrams;                 /* carry connected UDP sockets as well */
        bool except_loopback;           /* without a list: all but 127.0.0.0/8, which is what a domain's own programs talk over */
};

/* All but loopback; all; or ADDRESS[/BITS],... -EINVAL: it is no such list. */
void ranges_default(struct ranges *ranges);
void ranges_all(struct ranges *ranges);
int ranges_parse(struct ranges *ranges, const char *text);

/* Whether a connection there is carried. */
bool ranges_have(const struct ranges *ranges, struct in_addr address);

/* Whether a listener is. One for any address is, in any case: who asks for it wants to be reached. */
bool ranges_have_listener(const struct ranges *ranges, struct in_addr address);
