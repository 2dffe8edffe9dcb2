/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "addresses.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool is_reachable4(const struct in_addr *address) {
        uint32_t host = ntohl(address->s_addr);

        return host >> 24 != 0 && host >> 24 != 127 && host >> 16 != 0xa9fe /* 169.254, of a link */ && host >> 28 < 0xe;
}

static bool is_reachable6(const struct in6_addr *address) {
        return !IN6_IS_ADDR_UNSPECIFIED(address) && !IN6_IS_ADDR_LOOPBACK(address) && !IN6_IS_ADDR_LINKLOCAL(address) &&
               !IN6_IS_ADDR_MULTICAST(address);
}

/* As it is written everywhere, whatever it came as. */
static bool normalise(const char *untrusted_text, char *ret_text, size_t size) {
        struct in6_addr address6;
        struct in_addr address4;

        if (inet_pton(AF_INET, untrusted_text, &address4) == 1)
                return is_reachable4(&address4) && inet_ntop(AF_INET, &address4, ret_text, (socklen_t) size);
        if (inet_pton(AF_INET6, untrusted_text, &address6) == 1)
                return is_reachable6(&address6) && inet_ntop(AF_INET6, &address6, ret_text, (socklen_t) size);
        return false;
}

static void add(struct addresses *addresses, const struct address *address) {
        for (size_t i = 0; i < addresses->n; i++)
                if (strcmp(addresses->list[i].text, address->text) == 0)
                        return;
        if (addresses->n < HYPERVISOR_ADDRESSES_MAX)
                addresses->list[addresses->n++] = *address;
}

void addresses_add(struct addresses *addresses, const char *untrusted_text, const char *mac, enum xcp_address_source source) {
        struct address address = { .source = source };

        if (!normalise(untrusted_text, address.text, sizeof address.text))
                return;
        snprintf(address.mac, sizeof address.mac, "%s", mac);
        add(addresses, &address);
}

void addresses_add_all(struct addresses *addresses, const struct addresses *more) {
        for (size_t i = 0; i < more->n; i++)
                add(addresses, more->list + i);
}

bool addresses_equal(const struct addresses *a, const struct addresses *b) {
        if (a->n != b->n)
                return false;
        for (size_t i = 0; i < a->n; i++)
                if (strcmp(a->list[i].text, b->list[i].text) != 0 || strcmp(a->list[i].mac, b->list[i].mac) != 0 ||
                    a->list[i].source != b->list[i].source)
                        return false;
        return true;
}
