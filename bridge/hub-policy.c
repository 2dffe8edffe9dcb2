/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The policy in force. The hub reads the files, at its start and when it is told to, and has the processes use the very same, of which they have a copy:
 * they read no files, and what the hub answers about the policy is what they do, whatever has been written meanwhile.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bridge-policy.h"
#include "cleanup.h"
#include "hub.h"

static int load(struct hub *hub, int fd, struct bridge_policy **ret_policy, char *text, size_t n_text) {
        const char *paths[HUB_POLICIES_MAX + 1] = { NULL };
        struct bridge_policy_error error = { .line = 0 };
        int r;

        for (size_t i = 0; i < hub->options->n_policies; i++)
                paths[i] = hub->options->policies[i];
        r = bridge_policy_copy(paths, fd, ret_policy, &error);
        if (r < 0 && error.line > 0)
                snprintf(text, n_text, "%s:%u:%u: %s", error.file, error.line, error.column, error.text);
        else if (r < 0)
                snprintf(text, n_text, "%s: %s", error.file, error.text);
        return r;
}

int hub_policy_load(struct hub *hub, char *text, size_t n_text) {
        AUTO_CLOSE int memory = memfd_create("xcp-bridge-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bridge_policy *policy;
        int fd, r;

        snprintf(text, n_text, "there is no memory for it");
        if (memory < 0)
                return -errno;
        r = load(hub, memory, &policy, text, n_text);
        if (r < 0)
                return r;
        fd = fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ? -1 :
             fcntl(memory, F_DUPFD_CLOEXEC, CONTROL_POLICY_FD + 1);     /* none that it could be taken for in a process */
        if (fd < 0) {
                bridge_policy_free(policy);
                return -errno;
        }
        hub_policy_free(hub);
        hub->policy = policy;
        hub->policy_fd = fd;
        return 0;
}

void hub_policy_free(struct hub *hub) {
        bridge_policy_free(hub->policy);
        hub->policy = NULL;
        if (hub->policy_fd >= 0)
                close(hub->policy_fd);
        hub->policy_fd = -1;
}
