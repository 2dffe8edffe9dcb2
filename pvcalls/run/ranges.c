/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ranges.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

void ranges_default(struct ranges *ranges) {
        *ranges = (struct ranges) { .n = 1, .except_loopback = true };
}

void ranges_all(struct ranges *ranges) {
        *ranges = (struct ranges) { .n = 1 };
}

static int bits_parse(const char *text, unsigned *ret_bits) {
        if (text[0] < '0' || text[0] > '9')
                return -EINVAL;
        *ret_bits = (unsigned) (text[0] - '0');
        if (text[1] == '\0')
                return 0;
        if (text[1] < '0' || text[1] > '9' || text[2] != '\0')
                return -EINVAL;
        *ret_bits = *ret_bits * 10 + (unsigned) (text[1] - '0');
        return *ret_bits <= 32 ? 0 : -EINVAL;
}

static int range_add(struct ranges *ranges, char *text) {
        char *slash = strchr(text, '/');
        struct in_addr address;
        unsigned bits = 32;
        uint32_t mask;

        if (slash)
                *slash = '\0';
        if (ranges->n == RANGES_MAX || inet_pton(AF_INET, text, &address) != 1 || (slash && bits_parse(slash + 1, &bits) < 0))
                return -EINVAL;
        mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
        ranges->range[ranges->n].address = ntohl(address.s_addr) & mask;
        ranges->range[ranges->n].mask = mask;
        ranges->n++;
        return 0;
}

int ranges_parse(struct ranges *ranges, const char *text) {
        char copy[1024], *rest = copy, *word;

        *ranges = (struct ranges) {};
        if (strlen(text) >= sizeof copy)
                return -EINVAL;
        strcpy(copy, text);
        while ((word = strsep(&rest, ",")))
                if (range_add(ranges, word) < 0)
                        return -EINVAL;
        return 0;
}

bool ranges_have(const struct ranges *ranges, struct in_addr address) {
        uint32_t number = ntohl(address.s_addr);

        if (ranges->except_loopback && number >> 24 == 127)
                return false;
        for (size_t i = 0; i < ranges->n; i++)
                if ((number & ranges->range[i].mask) == ranges->range[i].address)
                        return true;
        return false;
}

bool ranges_have_listener(const struct ranges *ranges, struct in_addr address) {
        return address.s_addr == htonl(INADDR_ANY) || ranges_have(ranges, address);
}
