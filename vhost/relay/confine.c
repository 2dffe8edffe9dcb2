/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Confinement: a filter of what is not allowed for the daemon, as QEMU's needs change with its versions; and one of what is for the relay. */

#include "confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "privileges.h"
#include "syscall-filter.h"

/* The daemon */

/* Root's programs get all that is in this set when they are executed. Who may not change it has no capabilities to lose. */
static int bound_capabilities(void) {
        for (unsigned long i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
                if (i != CAP_DAC_OVERRIDE && prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno != EPERM)
                        return -errno;
        return 0;
}

static int deny(scmp_filter_ctx filter, const int *calls, size_t n) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
        return r;
}

/* clone3(2) says what it makes in memory, where a filter cannot look, so that the C library must use clone(2). */
static int deny_processes(scmp_filter_ctx filter, pid_t self) {
        static const int signals[] = { SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(rt_sigqueueinfo), SCMP_SYS(rt_tgsigqueueinfo) };
        int r;

        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
        for (size_t i = 0; r == 0 && i < sizeof signals / sizeof *signals; i++)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), signals[i], 1, SCMP_A0(SCMP_CMP_NE, (scmp_datum_t) self));
        return r;
}

static int filter_daemon(void) {
        static const int denied[] = {
                SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(chroot), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(fsopen), SCMP_SYS(kcmp), SCMP_SYS(keyctl),
                SCMP_SYS(mount), SCMP_SYS(open_by_handle_at), SCMP_SYS(open_tree), SCMP_SYS(perf_event_open), SCMP_SYS(pidfd_getfd),
                SCMP_SYS(pidfd_send_signal), SCMP_SYS(pivot_root), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace),
                SCMP_SYS(request_key), SCMP_SYS(setns), SCMP_SYS(tkill), SCMP_SYS(umount2), SCMP_SYS(unshare), SCMP_SYS(userfaultfd), SCMP_SYS(vfork),
        };
        scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
        int r;

        if (!filter)
                return -ENOMEM;
        r = deny(filter, denied, sizeof denied / sizeof *denied);
        if (r == 0)
                r = deny_processes(filter, getpid());
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
        return syscall_filter_load(filter, r);
}

int confine_daemon(void) {
        const struct rlimit none = {};
        int r;

        if (unshare(CLONE_NEWNET | CLONE_NEWIPC) < 0 && errno != EPERM && errno != ENOSYS && errno != EINVAL && errno != ENOSPC)
                return -errno;
        r = bound_capabilities();
        if (r < 0)
                return r;
        if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_daemon();
}

/* The relay */

int confine_relay(pid_t daemon) {
        static const unsigned unix_only[] = { AF_UNIX };
        static const int more[] = { SCMP_SYS(accept4), SCMP_SYS(preadv2), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(signalfd4), SCMP_SYS(wait4), SCMP_SYS(waitid) };
        scmp_filter_ctx filter;
        int r;

        r = privileges_keep(0);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        r = syscall_filter_new(&filter);
        if (r < 0)
                return r;
        r = syscall_filter_allow(filter, more, sizeof more / sizeof *more);
        if (r == 0)
                r = syscall_filter_allow_sockets(filter, unix_only, 1);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(kill), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t) daemon));
        return syscall_filter_load(filter, r);
}
