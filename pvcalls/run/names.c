/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* System calls that ask about a carried socket, and addresses in a program's memory. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor.h"

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };     /* ::ffff:0:0/96 */

int address_read(const struct target *target, uint64_t address, uint64_t length, bool any, struct sockaddr_in *ret_address) {
        struct sockaddr_in6 untrusted = {};
        uint32_t n = (uint32_t) length;
        int r;

        if (n < sizeof(struct sockaddr_in))
                return 1;
        r = target_read(target, address, &untrusted, n < sizeof untrusted ? n : sizeof untrusted);
        if (r < 0)
                return r;
        if (untrusted.sin6_family == AF_INET) {
                memcpy(ret_address, &untrusted, sizeof *ret_address);
                return 0;
        }
        if (untrusted.sin6_family != AF_INET6 || n < sizeof untrusted - sizeof untrusted.sin6_scope_id)
                return 1;
        *ret_address = (struct sockaddr_in) { .sin_family = AF_INET, .sin_port = untrusted.sin6_port };
        if (any && memcmp(&untrusted.sin6_addr, &in6addr_any, sizeof in6addr_any) == 0)
                return 0;
        memcpy(&ret_address->sin_addr, untrusted.sin6_addr.s6_addr + sizeof mapped, sizeof ret_address->sin_addr);
        return memcmp(&untrusted.sin6_addr, mapped, sizeof mapped) == 0 ? 0 : 1;
}

/* As a program sees it that has made an IPv6 socket. */
static struct sockaddr_in6 address_map(const struct sockaddr_in *address) {
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = address->sin_port };

        if (address->sin_addr.s_addr == htonl(INADDR_ANY))
                return in6;
        memcpy(in6.sin6_addr.s6_addr, mapped, sizeof mapped);
        memcpy(in6.sin6_addr.s6_addr + sizeof mapped, &address->sin_addr, sizeof address->sin_addr);
        return in6;
}

int address_write(const struct target *target, uint64_t address, uint64_t length, const struct sockaddr_in *what, bool v6) {
        struct sockaddr_in6 in6 = address_map(what);
        const void *from = v6 ? (const void *) &in6 : what;
        int32_t size = v6 ? sizeof in6 : sizeof *what, room;
        int r;

        r = target_read(target, length, &room, sizeof room);
        if (r == 0 && room < 0)
                r = -EINVAL;
        if (r == 0 && room > 0)
                r = target_write(target, address, from, (size_t) (room < size ? room : size));
        return r == 0 ? target_write(target, length, &size, sizeof size) : r;
}

int64_t call_getsockname(struct carried *carried, struct call *call, const struct target *target) {
        int r = 0;

        if (carried->kind == CARRIED_NEW || carried->kind == CARRIED_FAILED)
                return CALL_CONTINUES;
        if (!carried->local_known && carried->socket)
                r = xcp_pvcalls_local_address(carried->socket, &carried->local);
        if (r == -EINPROGRESS)
                return CALL_WAITS;
        if (r == 0)
                carried->local_known = true;
        /* A backend that does not tell leaves 0.0.0.0, port 0, which is what a socket has that is bound to nothing. */
        carried->local.sin_family = AF_INET;
        return address_write(target, call->data.args[1], call->data.args[2], &carried->local, carried->v6);
}

int64_t call_getpeername(struct carried *carried, struct call *call, const struct target *target) {
        if (carried->kind == CARRIED_NEW)
                return CALL_CONTINUES;
        if (carried->kind != CARRIED_CONNECTED)
                return -ENOTCONN;
        return address_write(target, call->data.args[1], call->data.args[2], &carried->peer, carried->v6);
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
