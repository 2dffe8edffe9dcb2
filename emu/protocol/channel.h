/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One event channel's shared words, and the only rules by which they change.
 *
 * Each end of a channel has a word in the channel's page and an eventfd. The word has two bits, which mean what they mean in Xen's
 * shared info page: PENDING, an event is to be delivered; MASKED, one was delivered and the receiver has not unmasked the port yet.
 * The eventfd is written exactly when the word becomes PENDING without MASKED, so that a receiver that waits for it edge-triggered
 * gets one wake-up for each event it can take, and events that come in while it is busy cost the sender one atomic and no system call.
 *
 *      word                    notify                  deliver                 unmask
 *      0                       PENDING, write          nothing                 0
 *      PENDING                 the same                MASKED, an event        the same
 *      MASKED                  MASKED|PENDING          nothing                 0
 *      MASKED|PENDING          the same                nothing                 PENDING, write
 *
 * The peer can write this page. What it can do by that is send events that were not sent or lose its own: nothing here is an index,
 * a size or an address.
 */

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#define CHANNEL_PENDING 1u
#define CHANNEL_MASKED 2u

struct channel_page {
        _Atomic uint32_t word[2];       /* of side 0, the end that was allocated first, and of side 1 */
};

_Static_assert(sizeof(struct channel_page) == 8, "two words, no padding");
_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the words are shared between processes");

/* Makes a waiter on eventfd look again. Never blocks: its counter is far from full unless the peer filled it, and then it is awake. */
static inline int channel_wake(int eventfd) {
        const uint64_t one = 1;

        for (;;) {
                if (write(eventfd, &one, sizeof one) == (ssize_t) sizeof one || errno == EAGAIN)
                        return 0;
                if (errno != EINTR)
                        return -errno;
        }
}

/* Sends an event to the end that owns word and waits on eventfd. Returns 0 or a negative errno of the write. */
static inline int channel_notify(_Atomic uint32_t *word, int eventfd) {
        if (atomic_fetch_or(word, CHANNEL_PENDING) != 0)
                return 0;
        return channel_wake(eventfd);
}

/* Takes the event of word, which is the caller's own, and masks it. Returns false if there is none to be had now. */
static inline bool channel_deliver(_Atomic uint32_t *word) {
        uint32_t pending = CHANNEL_PENDING;

        return atomic_compare_exchange_strong(word, &pending, CHANNEL_MASKED);
}

/* Unmasks word, which is the caller's own with the eventfd it waits on. Returns 0 or a negative errno of the write. */
static inline int channel_unmask(_Atomic uint32_t *word, int eventfd) {
        if (atomic_fetch_and(word, ~CHANNEL_MASKED) != (CHANNEL_PENDING | CHANNEL_MASKED))
                return 0;
        return channel_wake(eventfd);
}
