/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int privileges_become(uid_t user, gid_t group, uint32_t capabilities) {
        if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 || setresgid(group, group, group) < 0 ||
            setresuid(user, user, user) < 0)
                return -errno;
        return privileges_keep(capabilities);
}

int privileges_become_named(const char *name, uint32_t capabilities) {
        const struct passwd *entry;

        errno = 0;
        entry = getpwnam(name);
        if (!entry)
                return errno ? -errno : -ENOENT;
        return privileges_become(entry->pw_uid, entry->pw_gid, capabilities);
}

/* capset(2) has two words for each set; the capabilities in question are all in the first. */
int privileges_keep(uint32_t capabilities) {
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct sets[2] = { { .effective = capabilities, .permitted = capabilities } };

        return syscall(SYS_capset, &header, sets) < 0 ? -errno : 0;
}
