/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Indexes that both sides look at are stored and loaded sequentially consistent, as who stores one goes on to load the peer's: only so
 * one of the two sees the other, and nobody sleeps while there is work (model/wakeup.pml, the mutant WEAK_STORE).
 */

#include "command-ring.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

_Static_assert((PVCALLS_SLOTS & (PVCALLS_SLOTS - 1)) == 0, "indexes are masked");

/* ring.h's rule: whether an index that went from before to now has passed the one that the peer waits for. */
static bool index_passed(uint32_t before, uint32_t now, uint32_t event) {
        return now - event < now - before;
}

/* A slot in one look: n bytes of it, each word loaded once. */
static void slot_copy_out(struct pvcalls_command_page *page, uint32_t index, void *to, size_t n) {
        _Atomic uint32_t *words = page->slots[index % PVCALLS_SLOTS].words;
        uint32_t copy[16];

        for (size_t i = 0; i < n / sizeof copy[0]; i++)
                copy[i] = atomic_load_explicit(&words[i], memory_order_relaxed);
        memcpy(to, copy, n);
}

static void slot_copy_in(struct pvcalls_command_page *page, uint32_t index, const void *from, size_t n) {
        _Atomic uint32_t *words = page->slots[index % PVCALLS_SLOTS].words;
        uint32_t copy[16];

        memcpy(copy, from, n);
        for (size_t i = 0; i < n / sizeof copy[0]; i++)
                atomic_store_explicit(&words[i], copy[i], memory_order_relaxed);
}

void command_ring_back_init(struct command_ring_back *ring, struct pvcalls_command_page *page) {
        *ring = (struct command_ring_back) { .page = page };
}

int command_ring_back_take(struct command_ring_back *ring, struct pvcalls_request *ret_request) {
        uint32_t untrusted_prod = atomic_load(&ring->page->req_prod);

        /* Requests that are not answered keep their place: with those that are new, they cannot be more than there are slots. */
        if (untrusted_prod - ring->rsp_prod > PVCALLS_SLOTS || untrusted_prod - ring->rsp_prod < ring->req_cons - ring->rsp_prod)
                return -EPROTO;
        if (untrusted_prod == ring->req_cons)
                return COMMAND_RING_EMPTY;
        slot_copy_out(ring->page, ring->req_cons, ret_request, sizeof *ret_request);
        ring->req_cons++;
        return 0;
}

bool command_ring_back_sleep(struct command_ring_back *ring) {
        atomic_store(&ring->page->req_event, ring->req_cons + 1);
        return atomic_load(&ring->page->req_prod) != ring->req_cons;
}

bool command_ring_back_put(struct command_ring_back *ring, const struct pvcalls_response *response) {
        uint32_t before = ring->rsp_prod;

        assert(command_ring_back_open(ring) > 0);
        slot_copy_in(ring->page, before, response, sizeof *response);
        ring->rsp_prod++;
        atomic_store(&ring->page->rsp_prod, ring->rsp_prod);
        return index_passed(before, ring->rsp_prod, atomic_load(&ring->page->rsp_event));
}

void command_ring_front_init(struct command_ring_front *ring, struct pvcalls_command_page *page) {
        memset((void *) page, 0, sizeof *page);
        atomic_store(&page->req_event, 1);
        atomic_store(&page->rsp_event, 1);
        *ring = (struct command_ring_front) { .page = page };
}

int command_ring_front_put(struct command_ring_front *ring, const struct pvcalls_request *request, bool *ret_notify) {
        uint32_t before = ring->req_prod;

        if (command_ring_front_free(ring) == 0)
                return -ENOBUFS;
        slot_copy_in(ring->page, before, request, sizeof *request);
        ring->req_prod++;
        atomic_store(&ring->page->req_prod, ring->req_prod);
        *ret_notify = index_passed(before, ring->req_prod, atomic_load(&ring->page->req_event));
        return 0;
}

int command_ring_front_take(struct command_ring_front *ring, struct pvcalls_response *ret_response) {
        uint32_t untrusted_prod = atomic_load(&ring->page->rsp_prod);

        if (untrusted_prod - ring->rsp_cons > ring->req_prod - ring->rsp_cons)
                return -EPROTO;
        if (untrusted_prod == ring->rsp_cons)
                return COMMAND_RING_EMPTY;
        slot_copy_out(ring->page, ring->rsp_cons, ret_response, sizeof *ret_response);
        ring->rsp_cons++;
        return 0;
}

bool command_ring_front_sleep(struct command_ring_front *ring) {
        atomic_store(&ring->page->rsp_event, ring->rsp_cons + 1);
        return atomic_load(&ring->page->rsp_prod) != ring->rsp_cons;
}
