/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxencall.so.1 of emulated Xen: xencall.h over xenemud. Which hypercalls there are is in hypercall.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "call-handle.h"

xencall_handle *xencall_open(xentoollog_logger *logger, unsigned open_flags) {
        xencall_handle *xcall = calloc(1, sizeof *xcall);
        int r;

        if (!xcall)
                return NULL;

        r = connection_init(&xcall->connection, "xencall", logger, NULL);
        if (r < 0) {
                free(xcall);
                errno = -r;
                return NULL;
        }

        r = connection_open(&xcall->connection, true);
        if (r < 0) {
                xencall_close(xcall);
                errno = -r;
                return NULL;
        }
        return xcall;
}

int xencall_close(xencall_handle *xcall) {
        if (!xcall)
                return 0;
        connection_deinit(&xcall->connection);
        free(xcall);
        return 0;
}

int xencall_fd(xencall_handle *xcall) {
        return xcall->connection.fd;
}

static long call(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5) {
        long r = hypercall_make(xcall, op, (const uint64_t[HYPERCALL_ARGUMENTS]) { arg1, arg2, arg3, arg4, arg5 });

        if (r >= 0)
                return r;
        errno = (int) -r;
        return -1;
}

int xencall0(xencall_handle *xcall, unsigned int op) {
        return (int) call(xcall, op, 0, 0, 0, 0, 0);
}

int xencall1(xencall_handle *xcall, unsigned int op, uint64_t arg1) {
        return (int) call(xcall, op, arg1, 0, 0, 0, 0);
}

int xencall2(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2) {
        return (int) call(xcall, op, arg1, arg2, 0, 0, 0);
}

int xencall3(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3) {
        return (int) call(xcall, op, arg1, arg2, arg3, 0, 0);
}

int xencall4(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4) {
        return (int) call(xcall, op, arg1, arg2, arg3, arg4, 0);
}

int xencall5(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2, uint64_t arg3, uint64_t arg4, uint64_t arg5) {
        return (int) call(xcall, op, arg1, arg2, arg3, arg4, arg5);
}

long xencall2L(xencall_handle *xcall, unsigned int op, uint64_t arg1, uint64_t arg2) {
        return call(xcall, op, arg1, arg2, 0, 0, 0);
}
