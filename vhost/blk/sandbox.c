/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <errno.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privileges.h"
#include "syscall-filter.h"

/* A thread for each queue, and nothing else: clone3(2) says what it makes in memory, where a filter cannot look, so that the C library must use clone(2). */
static int allow_threads(scmp_filter_ctx filter) {
        int r;

        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        if (r < 0)
                return r;
        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
}

static int filter_calls(bool connects) {
        static const unsigned unix_only[] = { AF_UNIX };
        static const int more[] = {
                SCMP_SYS(accept4), SCMP_SYS(fallocate), SCMP_SYS(fdatasync), SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
                SCMP_SYS(io_uring_setup), SCMP_SYS(memfd_create), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
                SCMP_SYS(pwritev2), SCMP_SYS(rseq), SCMP_SYS(rt_sigtimedwait),
        };
        scmp_filter_ctx filter;
        int r;

        r = syscall_filter_new(&filter);
        if (r < 0)
                return r;
        r = syscall_filter_allow(filter, more, sizeof more / sizeof more[0]);
        if (r == 0)
                r = allow_threads(filter);
        if (r == 0 && connects)
                r = syscall_filter_allow_sockets(filter, unix_only, 1);
        if (r == 0)                     /* to outlive whoever started this, when it is told to */
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG));
        return syscall_filter_load(filter, r);
}

int sandbox_enter(const char *user, bool connects) {
        int r = 0;

        if (user && geteuid() == 0)
                r = privileges_become_named(user, 0);
        if (r >= 0)
                r = privileges_keep(0);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_calls(connects);
}
