/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Options that are about the way to the peer, and that a program relies on although it sees nothing of them: keep-alive, and how long what was sent may
 * go unacknowledged. The loopback's peer is always there, so they are passed on to the connection. The program's own socket has them as well, for it to ask.
 */

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "supervisor.h"

static bool is_passed_on(int level, int name) {
        if (level == SOL_SOCKET)
                return name == SO_KEEPALIVE;
        return level == IPPROTO_TCP && (name == TCP_KEEPIDLE || name == TCP_KEEPINTVL || name == TCP_KEEPCNT || name == TCP_USER_TIMEOUT);
}

/* A backend without options is one that cannot do it, and a connection that has ended needs none. */
static void pass_on(struct carried *carried, int level, int name, int value) {
        (void) xcp_pvcalls_set_option(carried->socket, level, name, &value, sizeof value);
}

static bool can_have_options(const struct carried *carried) {
        return carried->kind == CARRIED_CONNECTED && carried->socket && !carried->datagrams && carried->family != AF_UNIX;
}

static void pass_on_of(struct carried *carried, int fd, int level, int name) {
        int value = 0;
        socklen_t n = sizeof value;

        if (getsockopt(fd, level, name, &value, &n) == 0 && value != 0)
                pass_on(carried, level, name, value);
}

void options_pass_on(struct carried *carried, int fd) {
        int alive = 0;
        socklen_t n = sizeof alive;

        if (!can_have_options(carried))
                return;
        pass_on_of(carried, fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
        if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &n) < 0 || !alive)
                return;
        pass_on_of(carried, fd, IPPROTO_TCP, TCP_KEEPIDLE);
        pass_on_of(carried, fd, IPPROTO_TCP, TCP_KEEPINTVL);
        pass_on_of(carried, fd, IPPROTO_TCP, TCP_KEEPCNT);
        pass_on(carried, SOL_SOCKET, SO_KEEPALIVE, 1);
}

int64_t call_set_option(struct carried *carried, struct call *call, const struct target *target) {
        int level = (int) call->data.args[1], name = (int) call->data.args[2], value;

        if (can_have_options(carried) && is_passed_on(level, name) && (int) call->data.args[4] >= (int) sizeof value &&
            target_read(target, call->data.args[3], &value, sizeof value) == 0)
                pass_on(carried, level, name, value);
        return CALL_CONTINUES;
}
