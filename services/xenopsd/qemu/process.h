/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Processes that outlive the manager: a guest's QEMU.
 *
 * A process is started in two parts: it is there, and waits; then, when whoever starts it has written down which it is, it may go on.
 * If the manager ends between the two, so does the process. It is known by its number and the time at which it began, as the kernel
 * counts it, so that another that got the same number later is not taken for it; and it is held by a pidfd.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

#define PROCESS_FDS_MAX 32u             /* that it can be given */
#define PROCESS_WORDS_MAX 200u          /* of how it ended */

struct process;

struct process_identity {
        pid_t pid;
        uint64_t start;                 /* proc(5), /proc/PID/stat, starttime: clock ticks since the boot */
};

struct process_spec {
        const char *program;            /* a path */
        char *const *argv;
        const int *fds;                 /* become its descriptors 3, 4, ...; they stay the caller's */
        size_t n_fds;
        int directory_fd;               /* where it runs */
        int log_fd;                     /* its standard output and error */
};

/* The process is gone. how: in words, as in "was killed by signal 9 (Killed)". Free it now or later. */
typedef void (*process_end_t)(void *userdata, const char *how);

/* Starts one that waits for process_release(). If it is freed before that, it ends. */
int process_start(struct process **ret_process, sd_event *event, const struct process_spec *spec, process_end_t end, void *userdata);
int process_release(struct process *process);

/* One that an earlier manager started. -ESRCH: it is gone. */
int process_adopt(struct process **ret_process, sd_event *event, const struct process_identity *identity, process_end_t end,
                  void *userdata);

struct process_identity process_identity(const struct process *process);

/* SIGKILL. Its end comes as always. */
void process_kill(struct process *process);

/* It goes on; nobody hears of it any more. */
struct process *process_free(struct process *process);

/* Kills one that nobody holds, and waits for its end, which is not long. 0 also if it is gone; -ETIMEDOUT if it is still there after that time. */
int process_kill_identity(const struct process_identity *identity, uint64_t wait_ms);

/*
 * For how long to wait for the end of another one now, in ms: the manager does nothing else meanwhile. One that cannot be killed, since a disk
 * holds it, takes 5 s; those after it were killed by then if they were told before, and get no time of their own until as long has passed again.
 * until_usec: 0 at first.
 */
uint64_t process_patience(uint64_t *until_usec, uint64_t now_usec);
