/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls that ask about a carried socket, and addresses in a program's memory. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "layout.h"
#include "supervisor.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };     /* ::ffff:0:0/96 */

int address_read(const struct target *target, uint64_t address, uint64_t length, struct pvcalls_name *ret_address) {
        uint8_t untrusted[PVCALLS_NAME_MAX] = {};
        uint32_t n = (uint32_t) length;
        int r;

        if (n < sizeof(sa_family_t) || n > sizeof(struct sockaddr_storage))     /* which the kernel refuses */
                return 1;
        r = target_read(target, address, untrusted, n < sizeof untrusted ? n : sizeof untrusted);
        if (r < 0)
                return r;
        if (untrusted[0] != AF_UNIX && n > PVCALLS_ADDRESS_SIZE)
                n = PVCALLS_ADDRESS_SIZE;       /* a buffer that is larger than what is in it */
        if (n > sizeof untrusted || pvcalls_name_parse(untrusted, n, ret_address) < 0)
                return 1;
        if (ret_address->any.sa_family == AF_INET6 && memcmp(&ret_address->inet6.sin6_addr, mapped, sizeof mapped) == 0) {
                struct sockaddr_in6 in6 = ret_address->inet6;

                pvcalls_name_init(ret_address, AF_INET);
                ret_address->inet.sin_port = in6.sin6_port;
                memcpy(&ret_address->inet.sin_addr, in6.sin6_addr.s6_addr + sizeof mapped, sizeof ret_address->inet.sin_addr);
        }
        return 0;
}

int destination_read(const struct target *target, uint64_t address, uint64_t length, struct pvcalls_name *ret_address) {
        int r = address_read(target, address, length, ret_address);

        if (r == 0)
                pvcalls_name_make_destination(ret_address);
        return r;
}

/* As a program sees it that has made an IPv6 socket. */
struct pvcalls_name address_map(const struct pvcalls_name *address) {
        struct pvcalls_name name;

        pvcalls_name_init(&name, AF_INET6);
        if (address->size == 0)
                return name;
        name.inet6.sin6_port = address->inet.sin_port;
        if (address->inet.sin_addr.s_addr == htonl(INADDR_ANY))
                return name;
        memcpy(name.inet6.sin6_addr.s6_addr, mapped, sizeof mapped);
        memcpy(name.inet6.sin6_addr.s6_addr + sizeof mapped, &address->inet.sin_addr, sizeof address->inet.sin_addr);
        return name;
}

int address_write(const struct target *target, uint64_t address, uint64_t length, const struct pvcalls_name *what, int family) {
        struct pvcalls_name name = *what;
        int32_t size, room;
        int r;

        if (name.size == 0)             /* a backend that does not tell: what a socket has that is bound to nothing */
                pvcalls_name_init(&name, family);
        else if (family == AF_INET6 && name.any.sa_family == AF_INET)
                name = address_map(what);
        size = (int32_t) name.size;
        r = target_read(target, length, &room, sizeof room);
        if (r == 0 && room < 0)
                r = -EINVAL;
        if (r == 0 && room > 0)
                r = target_write(target, address, &name.any, (size_t) (room < size ? room : size));
        return r == 0 ? target_write(target, length, &size, sizeof size) : r;
}

int local_learn(struct carried *carried) {
        socklen_t size = sizeof carried->local.local;
        int r = 0;

        if (!carried->local_known && carried->socket) {
                r = xcp_pvcalls_local_address(carried->socket, &carried->local.any, &size);
                carried->local.size = r == 0 ? size : carried->local.size;
        }
        if (r == 0)
                carried->local_known = true;
        return r;
}

int64_t call_getsockname(struct carried *carried, struct call *call, const struct target *target) {
        if (carried->kind == CARRIED_NEW || carried->kind == CARRIED_FAILED)
                return CALL_CONTINUES;
        if (local_learn(carried) == -EINPROGRESS)
                return CALL_WAITS;
        return address_write(target, call->data.args[1], call->data.args[2], &carried->local, carried->family);
}

int64_t call_getpeername(struct carried *carried, struct call *call, const struct target *target) {
        if (carried->kind == CARRIED_NEW)
                return CALL_CONTINUES;
        if (carried->kind != CARRIED_CONNECTED || (carried->datagrams && carried->peer.size == 0))
                return -ENOTCONN;
        return address_write(target, call->data.args[1], call->data.args[2], &carried->peer, carried->family);
}

int64_t call_get_error(struct carried *carried, struct call *call, const struct target *target) {
        int32_t error = carried->error, room;
        int r;

        if (carried->kind != CARRIED_CONNECTING && carried->kind != CARRIED_FAILED)
                return CALL_CONTINUES;
        carried->error = 0;
        r = target_read(target, call->data.args[4], &room, sizeof room);
        if (r == 0 && room < 0)
                r = -EINVAL;
        if (r == 0 && room > (int32_t) sizeof error)
                room = sizeof error;
        if (r == 0)
                r = target_write(target, call->data.args[3], &error, (size_t) room);
        return r == 0 ? target_write(target, call->data.args[4], &room, sizeof room) : r;
}
