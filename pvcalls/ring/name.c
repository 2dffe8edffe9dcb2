/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "name.h"

#include <errno.h>
#include <string.h>

#include "layout.h"

#define INET_LENGTH 16u
#define INET6_LENGTH 28u
#define LOCAL_MIN 3u                    /* a family, and one byte at least: binding to a name that the host chooses is not carried */
#define PATH_AT offsetof(struct sockaddr_un, sun_path)

static int parse_inet(const uint8_t *untrusted_bytes, uint32_t n, struct pvcalls_name *name) {
        if (n < INET_LENGTH || n > PVCALLS_ADDRESS_SIZE)
                return -EINVAL;
        name->inet.sin_family = AF_INET;
        memcpy(&name->inet.sin_port, untrusted_bytes + 2, 2);
        memcpy(&name->inet.sin_addr, untrusted_bytes + 4, 4);
        name->size = sizeof name->inet;
        return 0;
}

static int parse_inet6(const uint8_t *untrusted_bytes, uint32_t n, struct pvcalls_name *name) {
        if (n != INET6_LENGTH)
                return -EINVAL;
        name->inet6.sin6_family = AF_INET6;
        memcpy(&name->inet6.sin6_port, untrusted_bytes + 2, 2);
        memcpy(&name->inet6.sin6_flowinfo, untrusted_bytes + 4, 4);
        memcpy(&name->inet6.sin6_addr, untrusted_bytes + 8, 16);
        memcpy(&name->inet6.sin6_scope_id, untrusted_bytes + 24, 4);
        name->size = sizeof name->inet6;
        return 0;
}

static int parse_local(const uint8_t *untrusted_bytes, uint32_t n, struct pvcalls_name *name) {
        size_t n_path = n - 2;

        if (n < LOCAL_MIN || n > PVCALLS_NAME_MAX)
                return -EINVAL;
        if (untrusted_bytes[2] != 0)
                n_path = strnlen((const char *) untrusted_bytes + 2, n_path);
        if (n_path == sizeof name->local.sun_path && untrusted_bytes[2] != 0)
                return -EINVAL;         /* unix(7) lets such a path be 108 bytes long, without an end; who reads it here needs one */
        name->local.sun_family = AF_UNIX;
        memcpy(name->local.sun_path, untrusted_bytes + 2, n_path);
        name->size = (socklen_t) (PATH_AT + n_path + (untrusted_bytes[2] != 0));
        return 0;
}

int pvcalls_name_parse(const uint8_t *untrusted_bytes, uint32_t untrusted_n, struct pvcalls_name *ret_name) {
        struct pvcalls_name name = {};
        int r;

        if (untrusted_n < 2)
                return -EINVAL;
        switch (untrusted_bytes[0] | untrusted_bytes[1] << 8) {
        case PVCALLS_INET: r = parse_inet(untrusted_bytes, untrusted_n, &name); break;
        case PVCALLS_INET6: r = parse_inet6(untrusted_bytes, untrusted_n, &name); break;
        case PVCALLS_UNIX: r = parse_local(untrusted_bytes, untrusted_n, &name); break;
        default: return untrusted_n < INET_LENGTH ? -EINVAL : -EAFNOSUPPORT;
        }
        if (r == 0)
                *ret_name = name;
        return r;
}

uint32_t pvcalls_name_format(const struct pvcalls_name *name, uint8_t ret_bytes[PVCALLS_NAME_MAX]) {
        uint32_t n;

        memset(ret_bytes, 0, PVCALLS_NAME_MAX);
        switch (name->any.sa_family) {
        case AF_INET:
                ret_bytes[0] = PVCALLS_INET;
                memcpy(ret_bytes + 2, &name->inet.sin_port, 2);
                memcpy(ret_bytes + 4, &name->inet.sin_addr, 4);
                return INET_LENGTH;
        case AF_INET6:
                ret_bytes[0] = PVCALLS_INET6;
                memcpy(ret_bytes + 2, &name->inet6.sin6_port, 2);
                memcpy(ret_bytes + 4, &name->inet6.sin6_flowinfo, 4);
                memcpy(ret_bytes + 8, &name->inet6.sin6_addr, 16);
                memcpy(ret_bytes + 24, &name->inet6.sin6_scope_id, 4);
                return INET6_LENGTH;
        case AF_UNIX:
                ret_bytes[0] = PVCALLS_UNIX;
                n = name->size > PATH_AT ? (uint32_t) (name->size - PATH_AT) : 0;
                if (n > 0 && name->local.sun_path[0] != '\0')
                        n = (uint32_t) strnlen(name->local.sun_path, n);
                memcpy(ret_bytes + 2, name->local.sun_path, n);
                return 2 + n;
        default:
                return 0;
        }
}

void pvcalls_name_init(struct pvcalls_name *name, int family) {
        *name = (struct pvcalls_name) {};
        name->any.sa_family = (sa_family_t) family;
        name->size = family == AF_INET ? sizeof name->inet : family == AF_INET6 ? sizeof name->inet6 : PATH_AT;
}

bool pvcalls_name_equal(const struct pvcalls_name *a, const struct pvcalls_name *b) {
        return a->size == b->size && memcmp(&a->any, &b->any, a->size) == 0;
}

void pvcalls_name_make_destination(struct pvcalls_name *name) {
        struct in6_addr *in6 = &name->inet6.sin6_addr;
        uint32_t loopback = htonl(INADDR_LOOPBACK);

        if (name->any.sa_family == AF_INET && name->inet.sin_addr.s_addr == htonl(INADDR_ANY))
                name->inet.sin_addr.s_addr = loopback;
        else if (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(in6))
                *in6 = in6addr_loopback;
        else if (name->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr32[3] == htonl(INADDR_ANY))
                in6->s6_addr32[3] = loopback;
}

uint16_t pvcalls_name_port(const struct pvcalls_name *name) {
        switch (name->any.sa_family) {
        case AF_INET: return name->inet.sin_port;
        case AF_INET6: return name->inet6.sin6_port;
        default: return 0;
        }
}

void pvcalls_name_set_port(struct pvcalls_name *name, uint16_t port) {
        if (name->any.sa_family == AF_INET)
                name->inet.sin_port = port;
        else if (name->any.sa_family == AF_INET6)
                name->inet6.sin6_port = port;
}
