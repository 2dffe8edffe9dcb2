/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The I/O of one queue's thread: does requests, and waits for what comes next.
 *
 * What the page cache has is read at once, in the thread. The rest goes to io_uring, whose completions, kicks and wake-ups are all waited for in one
 * call; where there is no io_uring, or it is not wanted, it is done in the thread too.
 */

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

#include "fixed.h"
#include "request.h"

enum io_events {                        /* what io_wait() saw, beside requests that ended */
        IO_KICK = 1,
        IO_WAKE = 2,
};

struct io {
        struct disk *disk;
        bool has_uring;
        struct io_uring uring;
        struct fixed fixed;             /* buffers that it has */
        bool kick_armed, wake_armed;
        bool no_cached_reads, no_cached_writes; /* the file system cannot say what it has cached */
        unsigned n_in_flight;
        struct request *ended, **ended_end;     /* requests that io_wait() and io_start() have seen end; next links them */
};

/*
 * On the thread that will use it. memory: the guest's, which is to be pinned for io_uring until io_done(), if that can be; NULL: it is not. n: requests
 * that may be in flight.
 */
int io_init(struct io *io, struct disk *disk, const struct vhost_memory *memory, unsigned n, bool want_uring);
void io_done(struct io *io);

/* Begins a request, which then ends in ended: at once, or later. */
void io_start(struct io *io, struct request *request);

/* Takes those that ended, in that order. */
static inline struct request *io_take_ended(struct io *io) {
        struct request *ended = io->ended;

        io->ended = NULL;
        io->ended_end = &io->ended;
        return ended;
}

/*
 * Lets the kernel know of what was begun, and sees what has ended. wait: until there is something to see, or for timeout_usec (UINT64_MAX: as long as
 * it takes). Returns enum io_events. kick_fd: -1, nobody waits for it.
 */
unsigned io_wait(struct io *io, int kick_fd, int wake_fd, bool wait, uint64_t timeout_usec);

/* Forgets a kick descriptor, which is going to be closed. */
void io_forget_kick(struct io *io);
