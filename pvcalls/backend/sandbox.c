/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "syscall-filter.h"

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
        if (r < 0) {
                seccomp_release(filter);
                return r;
        }
        return syscall_filter_load(filter);
}

int sandbox_enter(const char *user) {
        int r = 0;

        if (geteuid() == 0)
                r = become(user);
        if (r < 0)
                return r;
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return -errno;
        return filter_calls();
}
