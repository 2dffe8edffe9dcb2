/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Waiting for descriptors, as poll(2) does, but with a look for a moment before sleeping, as to be woken takes about as long as what is waited for.
 * How long, spin.h says: not at all on one CPU, where waits have lately been long, and where others want the CPU. For any number of threads.
 */

#include <poll.h>
#include <pthread.h>

#include "spin.h"

struct waiting {
        pthread_mutex_t lock;           /* of what follows */
        struct spin spin;
        long n_preempted;               /* how many times this process has had to give up its CPU, when that was last asked */
};

/* How many CPUs this process may run on. */
unsigned waiting_cpus(void);

void waiting_init(struct waiting *waiting, unsigned n_cpus);
void waiting_deinit(struct waiting *waiting);

/* As poll(2), but for a negative errno. */
int waiting_poll(struct waiting *waiting, struct pollfd *fds, nfds_t n, int timeout_ms);
