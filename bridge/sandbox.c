/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "domain-user.h"
#include "log.h"
#include "privileges.h"
#include "syscall-filter.h"

/* Who this would be */

/* An address of sd-bus for the path of a socket, as connection.h has it. */
static int address_of(const char *path, char **ret_address) {
        AUTO_FREE char *escaped = malloc(3 * strlen(path) + 1);
        char *p = escaped;
        bool abstract = path[0] == '@';

        if (!escaped)
                return -ENOMEM;
        for (path += abstract; *path; path++)
                p += sprintf(p, "%%%02x", (unsigned char) *path);
        *p = '\0';
        return asprintf(ret_address, "unix:%s=%s", abstract ? "abstract" : "path", escaped) < 0 ? -ENOMEM : 0;
}

/* Whether the bus has a place for who this is now. Its socket may be out of reach, or the broker not know the user, or policy not let it own a name. */
static bool bus_takes(const char *bus_path, unsigned domain) {
        AUTO(sd_bus_close_unrefp) sd_bus *bus = NULL;
        AUTO_FREE char *address = NULL;
        char name[64];
        int r;

        r = address_of(bus_path, &address);
        if (r < 0)
                return false;
        r = sd_bus_new(&bus);
        if (r >= 0)
                r = sd_bus_set_address(bus, address);
        if (r >= 0)
                r = sd_bus_set_bus_client(bus, true);
        if (r >= 0)
                r = sd_bus_start(bus);
        snprintf(name, sizeof name, "org.xen.xcp.bridge.domain%u", domain);
        return r >= 0 && sd_bus_request_name(bus, name, 0) >= 0;
}

uid_t sandbox_user(unsigned domain, const char *bus_path) {
        uid_t user = DOMAIN_USER_FIRST + domain;
        bool may;

        if (geteuid() != 0 || getuid() != 0 || setgroups(0, NULL) < 0 || setegid(DOMAIN_GROUP) < 0)
                return 0;
        if (seteuid(user) < 0) {
                setegid(getgid());
                return 0;
        }
        may = bus_takes(bus_path, domain);
        if (seteuid(0) < 0 || setegid(getgid()) < 0)
                abort();                /* neither the one nor the other */
        if (!may)
                log_event(LOG_NOTICE, NULL, "Connections for domain %u are made as root: the bus %s is not there for the user %u", domain,
                          bus_path, user);
        return may ? user : 0;
}

/* Giving up */

int sandbox_begin(uid_t user) {
        const struct rlimit no_core = { 0 };

        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
                return -errno;
        return privileges_keep(user ? 1u << CAP_SETUID | 1u << CAP_SETGID : 0);
}

static int become(uid_t user) {
        int r = privileges_become(user, DOMAIN_GROUP, 0);

        if (r < 0)
                return r;
        /* Dumpable again: or its /proc/self is root's, where descriptors are opened anew. Nobody else is this user. */
        return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Descriptors that are carried. */
static const int more[] = {
        SCMP_SYS(fstatfs), SCMP_SYS(ftruncate), SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid),
        SCMP_SYS(memfd_create), SCMP_SYS(pipe2), SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(splice),
        SCMP_SYS(statx),
};

/* /proc/self/fd, and terminals: nothing is made. */
static int allow_open(scmp_filter_ctx filter) {
        static const unsigned makes = O_CREAT | O_TRUNC | O_WRONLY | (O_TMPFILE & ~O_DIRECTORY);

        return seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, makes, 0));
}

static int filter_calls(void) {
        static const unsigned families[] = { AF_UNIX };
        scmp_filter_ctx filter;
        int r;

        r = syscall_filter_new(&filter);
        if (r < 0)
                return r;
        r = syscall_filter_allow(filter, more, sizeof more / sizeof more[0]);
        if (r == 0)
                r = syscall_filter_allow_sockets(filter, families, 1);
        if (r == 0)
                r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
        if (r == 0)
                r = allow_open(filter);
        return syscall_filter_load(filter, r);
}

int sandbox_enter(uid_t user) {
        int r = user ? become(user) : 0;

        return r < 0 ? r : filter_calls();
}
