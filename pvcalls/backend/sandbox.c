/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privileges.h"
#include "syscall-filter.h"

/* Besides what any filter allows: to serve sockets of IP and of UNIX, which the log is reached over, too. */
static int filter_calls(void) {
        static const int more[] = { SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(io_uring_enter), SCMP_SYS(listen), SCMP_SYS(unlink),
                                    SCMP_SYS(unlinkat) };
        static const unsigned families[] = { AF_INET, AF_INET6, AF_UNIX };
        scmp_filter_ctx filter;
        int r;

        r = syscall_filter_new(&filter);
        if (r < 0)
                return r;
        r = syscall_filter_allow(filter, more, sizeof more / sizeof more[0]);
        if (r == 0)
                r = syscall_filter_allow_sockets(filter, families, sizeof families / sizeof families[0]);
        return syscall_filter_load(filter, r);
}

int sandbox_enter(const char *user) {
        int r = 0;

        if (geteuid() == 0)
                r = privileges_become_named(user, 1u << CAP_NET_BIND_SERVICE);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_calls();
}
