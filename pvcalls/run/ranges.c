/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "ranges.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

static void add_all(struct ranges *ranges, int family) {
        memset(&ranges->range[ranges->n], 0, sizeof ranges->range[0]);
        ranges->range[ranges->n++].family = family;
}

void ranges_default(struct ranges *ranges) {
        ranges_all(ranges);
        ranges->except_loopback = true;
}

void ranges_all(struct ranges *ranges) {
        ranges->n = 0;
        ranges->except_loopback = false;
        add_all(ranges, AF_INET);
}

int ranges_add_v6(struct ranges *ranges) {
        if (ranges->n == RANGES_MAX)
                return -EINVAL;
        add_all(ranges, AF_INET6);
        return 0;
}

/* At most three digits, the first of which is not 0 unless it is alone. */
static int bits_parse(const char *text, unsigned most, unsigned *ret_bits) {
        unsigned bits = 0;
        size_t n = strlen(text);

        if (n == 0 || n > 3 || (text[0] == '0' && n > 1) || strspn(text, "0123456789") != n)
                return -EINVAL;
        for (; *text; text++)
                bits = bits * 10 + (unsigned) (*text - '0');
        *ret_bits = bits;
        return bits <= most ? 0 : -EINVAL;
}

static void mask(uint8_t *address, size_t size, unsigned bits) {
        for (size_t i = 0; i < size; i++) {
                unsigned here = bits > 8 * i ? bits - 8 * (unsigned) i : 0;

                if (here < 8)
                        address[i] &= (uint8_t) (0xff00u >> here);
        }
}

static int range_add(struct ranges *ranges, char *text) {
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        unsigned most = family == AF_INET ? 32 : 128, bits = most;
        char *slash = strchr(text, '/');
        uint8_t address[16] = {};

        if (slash)
                *slash = '\0';
        if (ranges->n == RANGES_MAX || inet_pton(family, text, address) != 1 || (slash && bits_parse(slash + 1, most, &bits) < 0))
                return -EINVAL;
        mask(address, most / 8, bits);
        memcpy(ranges->range[ranges->n].address, address, sizeof address);
        ranges->range[ranges->n].family = family;
        ranges->range[ranges->n].bits = bits;
        ranges->n++;
        return 0;
}

int ranges_parse(struct ranges *ranges, const char *text) {
        char copy[4096], *rest = copy, *word;

        ranges->n = 0;
        ranges->except_loopback = false;
        if (strlen(text) >= sizeof copy)
                return -EINVAL;
        strcpy(copy, text);
        while ((word = strsep(&rest, ",")))
                if (range_add(ranges, word) < 0)
                        return -EINVAL;
        return 0;
}

int ranges_add_paths(struct ranges *ranges, const char *text) {
        char copy[4096], *rest = copy, *word;

        if (strlen(text) >= sizeof copy)
                return -EINVAL;
        strcpy(copy, text);
        while ((word = strsep(&rest, ","))) {
                size_t n = strlen(word);

                while (n > 1 && word[0] == '/' && word[n - 1] == '/')
                        word[--n] = '\0';
                if (ranges->n_paths == RANGES_PATHS_MAX || n < 1 + (word[0] == '@') || n > RANGES_PATH_SIZE || (word[0] != '/' && word[0] != '@'))
                        return -EINVAL;
                strcpy(ranges->path[ranges->n_paths++], word);
        }
        return 0;
}

static bool is_loopback(const struct pvcalls_name *name) {
        if (name->any.sa_family == AF_INET)
                return ntohl(name->inet.sin_addr.s_addr) >> 24 == 127;
        return IN6_IS_ADDR_LOOPBACK(&name->inet6.sin6_addr) || IN6_IS_ADDR_LINKLOCAL(&name->inet6.sin6_addr);
}

static bool have_path(const struct ranges *ranges, const struct pvcalls_name *name) {
        size_t n = name->size > offsetof(struct sockaddr_un, sun_path) ? name->size - offsetof(struct sockaddr_un, sun_path) : 0;
        const char *path = name->local.sun_path;

        if (n == 0)
                return false;
        if (path[0] != '\0')
                n = strnlen(path, n);
        for (size_t i = 0; i < ranges->n_paths; i++) {
                const char *range = ranges->path[i];
                size_t n_range = strlen(range);

                if (range[0] == '@' && path[0] == '\0' && n == n_range && memcmp(path + 1, range + 1, n - 1) == 0)
                        return true;
                if (range[0] == '/' && path[0] == '/' && n >= n_range && memcmp(path, range, n_range) == 0 &&
                    (n == n_range || n_range == 1 || path[n_range] == '/'))
                        return true;
        }
        return false;
}

bool ranges_have(const struct ranges *ranges, const struct pvcalls_name *name) {
        const uint8_t *address = name->any.sa_family == AF_INET ? (const uint8_t *) &name->inet.sin_addr : name->inet6.sin6_addr.s6_addr;
        size_t size = name->any.sa_family == AF_INET ? 4 : 16;

        if (name->any.sa_family == AF_UNIX)
                return have_path(ranges, name);
        if (ranges->except_loopback && is_loopback(name))
                return false;
        for (size_t i = 0; i < ranges->n; i++) {
                uint8_t masked[16];

                if (ranges->range[i].family != name->any.sa_family)
                        continue;
                memcpy(masked, address, size);
                mask(masked, size, ranges->range[i].bits);
                if (memcmp(masked, ranges->range[i].address, size) == 0)
                        return true;
        }
        return false;
}

bool ranges_have_listener(const struct ranges *ranges, const struct pvcalls_name *name) {
        if (name->any.sa_family == AF_INET && name->inet.sin_addr.s_addr == htonl(INADDR_ANY))
                return true;
        if (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name->inet6.sin6_addr))
                return ranges_have_v6(ranges);
        return ranges_have(ranges, name);
}

bool ranges_have_v6(const struct ranges *ranges) {
        for (size_t i = 0; i < ranges->n; i++)
                if (ranges->range[i].family == AF_INET6)
                        return true;
        return false;
}
