/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What each store here means to the other side: an index is stored after the bytes it speaks of were written or read, and the peer loads
 * it before it touches them. Indexes and events are sequentially consistent besides, because each side stores one and then loads the
 * other: one of the two must see the other's store, or both sleep (model/wakeup.pml, the mutant WEAK_STORE).
 */

#include "data-ring.h"

#include <assert.h>
#include <errno.h>

#define ERROR_MIN (-4095)               /* Linux's smallest; error.h has what is on the list */
#define ERROR_IO (-5)

/* ring.h's rule: whether an index that went from before to now has passed the one that the peer waits for. */
static bool index_passed(uint32_t before, uint32_t now, uint32_t event) {
        return now - event < now - before;
}

/* n bytes from an index on, in pieces that do not wrap. */
static void pieces_cut(uint8_t *data, uint32_t size, uint32_t index, uint32_t n, struct iovec ret_pieces[2]) {
        uint32_t at = index & (size - 1), first = n < size - at ? n : size - at;

        ret_pieces[0] = (struct iovec) { .iov_base = data + at, .iov_len = first };
        ret_pieces[1] = (struct iovec) { .iov_base = data, .iov_len = n - first };
}

static int32_t error_load(struct pvcalls_direction *shared) {
        int32_t untrusted_error = (int32_t) atomic_load(&shared->error);

        if (untrusted_error == 0 || (untrusted_error < 0 && untrusted_error >= ERROR_MIN))
                return untrusted_error;
        return ERROR_IO;
}

void data_producer_init(struct data_producer *producer, struct pvcalls_direction *shared, uint8_t *data, uint32_t size, bool suppress) {
        assert(size > 0 && (size & (size - 1)) == 0);
        *producer = (struct data_producer) { .shared = shared, .data = data, .size = size, .suppress = suppress };
}

void data_consumer_init(struct data_consumer *consumer, struct pvcalls_direction *shared, uint8_t *data, uint32_t size, bool suppress) {
        assert(size > 0 && (size & (size - 1)) == 0);
        *consumer = (struct data_consumer) { .shared = shared, .data = data, .size = size, .suppress = suppress };
}

int data_producer_space(const struct data_producer *producer, struct iovec ret_pieces[2], size_t *ret_n) {
        uint32_t untrusted_queued = producer->prod - atomic_load(&producer->shared->cons);

        if (untrusted_queued > producer->size)
                return -EPROTO;
        *ret_n = producer->size - untrusted_queued;
        pieces_cut(producer->data, producer->size, producer->prod, (uint32_t) *ret_n, ret_pieces);
        return 0;
}

void data_producer_commit(struct data_producer *producer, size_t n) {
        assert(n <= producer->size);
        producer->prod += (uint32_t) n;
        atomic_store(&producer->shared->prod, producer->prod);
}

bool data_producer_must_notify(struct data_producer *producer) {
        uint32_t before = producer->notified;
        bool failed = producer->failed;

        producer->notified = producer->prod;
        producer->failed = false;
        if (failed || !producer->suppress)
                return failed || before != producer->prod;
        return index_passed(before, producer->prod, atomic_load(&producer->shared->prod_event));
}

int data_producer_sleep(struct data_producer *producer, size_t n) {
        uint32_t untrusted_queued;

        assert(n > 0 && n <= producer->size);
        if (producer->suppress)
                atomic_store(&producer->shared->cons_event, producer->prod - producer->size + (uint32_t) n);
        untrusted_queued = producer->prod - atomic_load(&producer->shared->cons);
        if (untrusted_queued > producer->size)
                return -EPROTO;
        return producer->size - untrusted_queued >= n;
}

void data_producer_fail(struct data_producer *producer, int32_t error) {
        atomic_store(&producer->shared->error, (uint32_t) error);
        producer->failed = true;
}

int32_t data_producer_error(const struct data_producer *producer) {
        return error_load(producer->shared);
}

int data_consumer_data(const struct data_consumer *consumer, struct iovec ret_pieces[2], size_t *ret_n) {
        uint32_t untrusted_queued = atomic_load(&consumer->shared->prod) - consumer->cons;

        if (untrusted_queued > consumer->size)
                return -EPROTO;
        *ret_n = untrusted_queued;
        pieces_cut(consumer->data, consumer->size, consumer->cons, untrusted_queued, ret_pieces);
        return 0;
}

int data_consumer_next(const struct data_consumer *consumer, struct iovec ret_pieces[2], size_t *ret_n, int32_t *ret_error) {
        int32_t error = error_load(consumer->shared);   /* before the index: who sees the error then sees all that came before it */
        int r = data_consumer_data(consumer, ret_pieces, ret_n);

        if (r < 0)
                return r;
        *ret_error = *ret_n > 0 ? 0 : error;
        return 0;
}

void data_consumer_commit(struct data_consumer *consumer, size_t n) {
        assert(n <= consumer->size);
        consumer->cons += (uint32_t) n;
        atomic_store(&consumer->shared->cons, consumer->cons);
}

bool data_consumer_must_notify(struct data_consumer *consumer) {
        uint32_t before = consumer->notified;
        bool failed = consumer->failed;

        consumer->notified = consumer->cons;
        consumer->failed = false;
        if (failed || !consumer->suppress)
                return failed || before != consumer->cons;
        return index_passed(before, consumer->cons, atomic_load(&consumer->shared->cons_event));
}

int data_consumer_sleep(struct data_consumer *consumer) {
        uint32_t untrusted_queued;

        if (consumer->suppress)
                atomic_store(&consumer->shared->prod_event, consumer->cons + 1);
        untrusted_queued = atomic_load(&consumer->shared->prod) - consumer->cons;
        if (untrusted_queued > consumer->size)
                return -EPROTO;
        return untrusted_queued > 0;
}

void data_consumer_fail(struct data_consumer *consumer, int32_t error) {
        atomic_store(&consumer->shared->error, (uint32_t) error);
        consumer->failed = true;
}
