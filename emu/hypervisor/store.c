/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Debian's xenstored; see store.h. */

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hypervisor.h"
#include "log.h"
#include "process.h"

struct store {
        struct hypervisor *hypervisor;
        int pidfd;
        int output_fd;
        sd_event_source *exit;
        sd_event_source *output;
};

static int on_exit_of_store(sd_event_source *source, int pidfd, uint32_t events, void *userdata) {
        struct store *store = userdata;
        char text[EMU_TEXT_MAX];

        snprintf(text, sizeof text, "%s ended with wait status %d", store->hypervisor->options->xenstored, process_reap(pidfd));
        store->exit = sd_event_source_disable_unref(store->exit);
        close(store->pidfd);
        store->pidfd = -1;

        /* As on a real machine there is no going on without it: its clients' watches and transactions are lost. */
        log_event("%s", text);
        hypervisor_announce(store->hypervisor, text);
        hypervisor_stop(store->hypervisor);
        return 0;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct store *store = userdata;
        char pid[32];

        if (read(fd, pid, sizeof pid) > 0)
                hypervisor_announce(store->hypervisor, NULL);
        store->output = sd_event_source_disable_unref(store->output);
        return 0;
}

/* Builds NAME=VALUE. Returns 0 or -ENOMEM. */
static int format_variable(char **ret_variable, const char *name, const char *directory, const char *rest) {
        return asprintf(ret_variable, "%s=%s%s", name, directory, rest) < 0 ? -ENOMEM : 0;
}

static int store_spawn(struct store *store, int output_fd) {
        const struct options *options = store->hypervisor->options;
        const char *argv[] = { options->xenstored, "--no-fork", "--output-pid", "--pid-file", NULL, NULL };
        char *environment[5] = {}, *pid_file = NULL;
        struct process_spec spec = {
                .argv = argv,
                .environment = (const char *const *) environment,
                .standard_output = output_fd,
                .inherit_fd = -1,
        };
        int r;

        r = format_variable(&environment[0], "LD_LIBRARY_PATH", options->library_dir, "");
        if (r == 0)
                r = format_variable(&environment[1], "LD_PRELOAD", options->preload, "");
        if (r == 0)
                r = format_variable(&environment[2], "XENEMU_SOCKET", options->run_dir, "/dom0/xen");
        if (r == 0)
                r = format_variable(&environment[3], "XENSTORED_RUNDIR", options->run_dir, "/dom0/xenstored");
        if (r == 0 && asprintf(&pid_file, "%s/dom0/xenstored/pid", options->run_dir) < 0)
                r = -ENOMEM;
        if (r == 0) {
                argv[4] = pid_file;
                r = process_start(&spec, &store->pidfd);
        }

        free(pid_file);
        for (size_t i = 0; i < 4; i++)
                free(environment[i]);
        return r;
}

int store_start(struct hypervisor *hypervisor, struct store **ret_store) {
        struct store *store;
        int output[2], r;

        if (mkdirat(hypervisor->run_dir_fd, "dom0/xenstored", 0700) < 0)
                return -errno;
        if (pipe2(output, O_CLOEXEC) < 0)
                return -errno;

        store = calloc(1, sizeof *store);
        if (!store) {
                close(output[0]);
                close(output[1]);
                return -ENOMEM;
        }

        *store = (struct store) { .hypervisor = hypervisor, .pidfd = -1, .output_fd = output[0] };
        r = store_spawn(store, output[1]);
        close(output[1]);
        if (r >= 0)
                r = process_watch(hypervisor->event, store->pidfd, on_exit_of_store, store, &store->exit);
        if (r >= 0)
                r = sd_event_add_io(hypervisor->event, &store->output, store->output_fd, EPOLLIN, on_output, store);
        if (r < 0) {
                store_free(store);
                return r;
        }

        *ret_store = store;
        return 0;
}

struct store *store_free(struct store *store) {
        if (!store)
                return NULL;

        sd_event_source_disable_unref(store->exit);
        sd_event_source_disable_unref(store->output);
        if (store->pidfd >= 0) {
                process_kill(store->pidfd, SIGKILL);
                close(store->pidfd);
        }
        close(store->output_fd);
        free(store);
        return NULL;
}
