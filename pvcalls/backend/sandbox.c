/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bits of the two words that capset(2) has for each set. */
static int set_capabilities(uint32_t permitted) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[2] = { { .effective = permitted, .permitted = permitted } };

        return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int become(const char *user) {
        const struct passwd *entry;

        errno = 0;
        entry = getpwnam(user);
        if (!entry)
                return errno ? -errno : -ENOENT;
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
            setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 || setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0)
                return -errno;
        return set_capabilities(1u << CAP_NET_BIND_SERVICE);
}

/* What the loop, libxenstore, libxengnttab and libxenevtchn (of Xen and of emulated Xen), the log and the sanitizers call. */
static const int allowed[] = {
        SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(brk), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep), SCMP_SYS(close),
        SCMP_SYS(connect), SCMP_SYS(dup), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
        SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(fcntl), SCMP_SYS(fstat),
        SCMP_SYS(futex), SCMP_SYS(getcpu), SCMP_SYS(getpeername), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(getrandom),
        SCMP_SYS(getrusage), SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(gettid), SCMP_SYS(gettimeofday),
        SCMP_SYS(getuid), SCMP_SYS(ioctl), SCMP_SYS(listen), SCMP_SYS(lseek), SCMP_SYS(madvise), SCMP_SYS(mremap), SCMP_SYS(munmap),
        SCMP_SYS(nanosleep), SCMP_SYS(newfstatat), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom),
        SCMP_SYS(recvmsg), SCMP_SYS(restart_syscall), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
        SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_yield), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(set_robust_list),
        SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(sigaltstack), SCMP_SYS(tgkill), SCMP_SYS(timerfd_create),
        SCMP_SYS(timerfd_settime), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(write), SCMP_SYS(writev),
};

static int allow_all(scmp_filter_ctx filter) {
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
                int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Calls that are allowed only with harmless arguments: no new code, and no sockets but those of TCP and, for the log, of UNIX. */
static int allow_some(scmp_filter_ctx filter) {
        static const uint64_t families[] = { AF_INET, AF_INET6, AF_UNIX };
        int r;

        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
        for (size_t i = 0; r == 0 && i < sizeof families / sizeof families[0]; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, families[i]));
        return r;
}

/* What is not allowed fails with EPERM, and does not kill: a call that was forgotten here costs a guest one answer, not all its sockets. */
static int filter_calls(void) {
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
        int r;

        if (!filter)
                return -ENOMEM;
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);         /* libxenstore's thread as well */
        if (r == 0)
                r = allow_all(filter);
        if (r == 0)
                r = allow_some(filter);
        if (r == 0)
                r = seccomp_load(filter);
        seccomp_release(filter);
        return r;
}

int sandbox_enter(const char *user) {
        int r = 0;

        /* xs_close() ends libxenstore's thread by pthread_cancel(3), for which the C library opens this one, and aborts if it cannot. */
        if (!dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_GLOBAL))
                return -ELIBACC;

        if (geteuid() == 0)
                r = become(user);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_calls();
}
