/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "syscall-filter.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/mman.h>

static const int basic[] = {
        SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close), SCMP_SYS(connect), SCMP_SYS(dup),
        SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait),
        SCMP_SYS(eventfd2), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat), SCMP_SYS(futex), SCMP_SYS(getcpu),
        SCMP_SYS(getpeername), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getrusage), SCMP_SYS(getsockname),
        SCMP_SYS(getsockopt), SCMP_SYS(gettid), SCMP_SYS(gettimeofday), SCMP_SYS(getuid), SCMP_SYS(ioctl), SCMP_SYS(lseek),
        SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap), SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(poll),
        SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall),
        SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield),
        SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(set_robust_list), SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(sigaltstack),
        SCMP_SYS(tgkill), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(write), SCMP_SYS(writev),
};

int syscall_filter_allow(scmp_filter_ctx filter, const int *calls, size_t n) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        return r;
}

int syscall_filter_allow_sockets(scmp_filter_ctx filter, const unsigned *families, size_t n) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i]));
        return r;
}

int syscall_filter_new(scmp_filter_ctx *ret_filter) {
        scmp_filter_ctx filter;
        int r;

        /* xs_close() ends libxenstore's thread by pthread_cancel(3), for which the C library opens this one, and aborts if it cannot. */
        if (!dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_GLOBAL))
                return -ELIBACC;
        filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        if (!filter)
                return -ENOMEM;
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);         /* libxenstore's thread as well */
        if (r == 0)
                r = syscall_filter_allow(filter, basic, sizeof basic / sizeof basic[0]);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r < 0) {
                seccomp_release(filter);
                return r;
        }
        *ret_filter = filter;
        return 0;
}

int syscall_filter_load(scmp_filter_ctx filter, int r) {
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
}
