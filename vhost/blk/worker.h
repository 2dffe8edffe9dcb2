/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Workers: a thread for each queue of a disk, which takes requests from its ring and answers them.
 *
 * No two share anything but the disk. A thread that has nothing to do sleeps in one call for kicks, completions and commands; if it has just been busy,
 * it first looks at its ring for a while, as pace.h has it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "backend.h"
#include "io.h"
#include "pace.h"

struct worker_options {
        bool want_uring;
        bool want_pinned;               /* the guest's memory, for io_uring */
        uint32_t look_usec;             /* how long to look at a ring before sleeping, at the most */
        unsigned n_cpus;
};

struct worker {
        struct disk *disk;
        const struct worker_options *options;
        int wake_fd;                    /* commands */
        int told_fd;                    /* of the owner: the queue has ended */
        pthread_t thread;
        bool has_thread;
        atomic_uint command;
        atomic_bool has_ended;          /* the queue that it had */
        struct vhost_queue *queue;
        struct io io;
        struct pace pace;
        bool asks_for_kicks;            /* of the driver */
        struct request *requests, *free_requests;
        _Atomic uint64_t *counters;     /* a line of disk-counters.h */
};

/* counters: a line, which stays the caller's. told_fd: an eventfd that is written to when a queue has ended. */
int worker_init(struct worker *worker, struct disk *disk, const struct worker_options *options, _Atomic uint64_t *counters, int told_fd);
void worker_done(struct worker *worker);

/* Gives it a queue; takes it back, which ends once requests that it has are answered. */
int worker_start(struct worker *worker, struct vhost_queue *queue);
void worker_stop(struct worker *worker);

/* Has it look at its disk's rates again. */
void worker_wake(struct worker *worker);

/* Whether a queue has ended since it was asked. */
bool worker_take_ended(struct worker *worker);
