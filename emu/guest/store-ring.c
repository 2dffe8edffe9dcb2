/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store-ring.h"

#include <errno.h>
#include <string.h>

static uint32_t shared_load(const uint32_t *word) {
        return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static void shared_store(uint32_t *word, uint32_t value) {
        __atomic_store_n(word, value, __ATOMIC_SEQ_CST);
}

/* The bytes from index on that lie in one piece, at most n. */
static size_t piece(uint32_t index, size_t n) {
        size_t n_to_end = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(index);

        return n < n_to_end ? n : n_to_end;
}

void store_ring_init(struct store_ring *ring, struct xenstore_domain_interface *shared) {
        *ring = (struct store_ring) { .shared = shared };
}

void store_ring_await_introduction(struct store_ring *ring) {
        shared_store(&ring->shared->connection, XENSTORE_RECONNECT);
}

bool store_ring_is_connected(const struct store_ring *ring) {
        return shared_load(&ring->shared->connection) == XENSTORE_CONNECTED;
}

const char *store_ring_error(const struct store_ring *ring) {
        switch (shared_load(&ring->shared->error)) {
        case XENSTORE_ERROR_NONE:
                return NULL;
        case XENSTORE_ERROR_COMM:
                return "communication problem";
        case XENSTORE_ERROR_RINGIDX:
                return "invalid ring index";
        case XENSTORE_ERROR_PROTO:
                return "protocol violation";
        default:
                return "unknown error";
        }
}

int store_ring_write(struct store_ring *ring, const void *data, size_t n) {
        uint32_t untrusted_cons = shared_load(&ring->shared->req_cons), n_used = ring->req_prod - untrusted_cons;
        size_t n_first;

        if (n_used > XENSTORE_RING_SIZE)
                return -EPROTO;
        if (n > XENSTORE_RING_SIZE - n_used)
                n = XENSTORE_RING_SIZE - n_used;
        if (n == 0)
                return 0;

        n_first = piece(ring->req_prod, n);
        memcpy(ring->shared->req + MASK_XENSTORE_IDX(ring->req_prod), data, n_first);
        memcpy(ring->shared->req, (const char *) data + n_first, n - n_first);

        ring->req_prod += n;
        shared_store(&ring->shared->req_prod, ring->req_prod); /* after the bytes */
        ring->notify = true;
        return n;
}

int store_ring_read(struct store_ring *ring, void *data, size_t n) {
        uint32_t untrusted_prod = shared_load(&ring->shared->rsp_prod), n_used = untrusted_prod - ring->rsp_cons;
        uint32_t cons = ring->rsp_cons;
        size_t n_first;

        if (n_used > XENSTORE_RING_SIZE)
                return -EPROTO;
        if (n > n_used)
                n = n_used;
        if (n == 0)
                return 0;

        n_first = piece(cons, n);
        memcpy(data, ring->shared->rsp + MASK_XENSTORE_IDX(cons), n_first);
        memcpy((char *) data + n_first, ring->shared->rsp, n - n_first);

        ring->rsp_cons += n;
        shared_store(&ring->shared->rsp_cons, ring->rsp_cons); /* after the bytes: now they may be overwritten */

        /* xenstored waits for room only when the ring is full, which it may have become since we looked: hence the second look, behind
         * the store. A wrong answer costs a notification too many. */
        if (shared_load(&ring->shared->rsp_prod) - cons >= XENSTORE_RING_SIZE)
                ring->notify = true;
        return n;
}
