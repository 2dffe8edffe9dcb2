/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Data rings: the bytes of one direction of a socket, seen from the side that puts them in or from the side that takes them out.
 *
 * Space and data are given as the one or two pieces in which they lie, so that readv() and writev() work on granted pages. Neither side
 * reads back what it has written itself; of the peer it reads one index, once, and refuses one that cannot be.
 *
 * Without suppression every step of an index is notified, as in version 1. With it, who is about to sleep says for which index it
 * waits, and is notified when that is passed. Who sleeps looks once more after saying so; *_sleep() does both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "layout.h"

struct data_producer {
        struct pvcalls_direction *shared;
        uint8_t *data;
        uint32_t size;                  /* bytes, a power of two */
        uint32_t prod;
        uint32_t notified;              /* prod, when the consumer was last thought of */
        bool suppress;                  /* notification suppression was agreed on */
        bool failed;                    /* an error was stored that nobody was notified of */
};

struct data_consumer {
        struct pvcalls_direction *shared;
        uint8_t *data;
        uint32_t size;
        uint32_t cons;
        uint32_t notified;
        bool suppress;
        bool failed;
};

/* Both begin at index 0, as the page that a frontend makes does. Where data lies in the pages is pvcalls_half(). */
void data_producer_init(struct data_producer *producer, struct pvcalls_direction *shared, uint8_t *data, uint32_t size, bool suppress);
void data_consumer_init(struct data_consumer *consumer, struct pvcalls_direction *shared, uint8_t *data, uint32_t size, bool suppress);

/* Bytes of each direction's half of 2^order data pages: "Indexes Page Structure". */
static inline uint32_t pvcalls_half(uint32_t order) {
        return (PVCALLS_PAGE_SIZE << order) / 2;
}

/*
 * Room for bytes. Returns 0, their number and the one or two pieces they can go to (pieces beyond the number are empty), or -EPROTO:
 * the consumer claims to have taken what was not there.
 */
int data_producer_space(const struct data_producer *producer, struct iovec ret_pieces[2], size_t *ret_n);

/* n bytes have been written to the pieces. */
void data_producer_commit(struct data_producer *producer, size_t n);

/* Whether the consumer must be notified of what was committed since this was last asked. */
bool data_producer_must_notify(struct data_producer *producer);

/* Asks to be notified when there is room for n bytes, at most the ring's size. Returns whether there is already, or -EPROTO. */
int data_producer_sleep(struct data_producer *producer, size_t n);

/* Bytes there are, in the one or two pieces that they lie in. -EPROTO: the producer claims to have put in more than fits. */
int data_consumer_data(const struct data_consumer *consumer, struct iovec ret_pieces[2], size_t *ret_n);

/* n bytes have been read from the pieces. */
void data_consumer_commit(struct data_consumer *consumer, size_t n);
bool data_consumer_must_notify(struct data_consumer *consumer);

/* Asks to be notified of the next byte. Returns whether there is one already, or -EPROTO. */
int data_consumer_sleep(struct data_consumer *consumer);

/*
 * For a backend: ends a direction. error is a negative number of error.h. What was committed before is delivered before the frontend
 * finds the error. The frontend must be notified: must_notify() will say so.
 */
void data_producer_fail(struct data_producer *producer, int32_t error);
void data_consumer_fail(struct data_consumer *consumer, int32_t error);

/*
 * For a frontend: as data_consumer_data(), and what its end is. *ret_error is 0 as long as there is data, and else what the backend has
 * stored: 0, or a number from -4095 to -1 (anything else that it stores counts as an I/O error).
 *
 * The specification has a consumer return on an error before it looks at the data. That would lose the last bytes of a connection that
 * was closed in an orderly way; Linux's frontend takes the data first, and so does this.
 */
int data_consumer_next(const struct data_consumer *consumer, struct iovec ret_pieces[2], size_t *ret_n, int32_t *ret_error);

/* For a frontend: what the backend has stored about the direction that this side produces, as above. */
int32_t data_producer_error(const struct data_producer *producer);
