/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads memory that a peer can write: the command ring, both sides, the indexes page and the data rings.
 *
 * The input is a list of operations, each a byte and what it needs behind it: those of the honest sides, and stores of the peer's, of a
 * word or of a slot's worth of bytes. Its first byte says whether notifications are suppressed.
 *
 * Invariants: pieces lie in the ring and are as long as is said; no more is open than there are slots; an order that is taken is in range.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "command-ring.h"
#include "data-ring.h"
#include "error.h"
#include "fuzz-input.h"
#include "indexes.h"
#include "name.h"

#define RING_SIZE 16u

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

struct world {
        _Alignas(4096) struct pvcalls_command_page commands;
        _Alignas(4096) struct pvcalls_indexes indexes;
        struct command_ring_back back;
        struct command_ring_front front;
        struct data_producer producer;
        struct data_consumer consumer;
        uint8_t *in, *out;
};

static void check_pieces(const struct iovec pieces[2], size_t n, size_t n_used) {
        demand(n <= RING_SIZE && pieces[0].iov_len + pieces[1].iov_len == n && n_used <= n);
        for (int i = 0; i < 2; i++)
                memset(pieces[i].iov_base, 1, pieces[i].iov_len);
}

static void back_step(struct world *world) {
        struct pvcalls_request request;
        struct pvcalls_response response = {};
        struct pvcalls_name name;

        if (command_ring_back_take(&world->back, &request) == 0 &&
            request.u.connect.len <= PVCALLS_ADDRESS_SIZE && pvcalls_name_parse(request.u.connect.addr, request.u.connect.len, &name) == 0)
                demand(name.size > sizeof(sa_family_t) && name.size <= sizeof name.local);
        command_ring_back_sleep(&world->back);
        demand(command_ring_back_open(&world->back) <= PVCALLS_SLOTS);
        if (command_ring_back_open(&world->back) == PVCALLS_SLOTS)
                command_ring_back_put(&world->back, &response);
}

static void front_step(struct world *world) {
        struct pvcalls_request request = {};
        struct pvcalls_response response;
        bool notify;

        if (command_ring_front_take(&world->front, &response) == 0)
                demand(pvcalls_error_from_wire(response.ret) <= 0);
        command_ring_front_put(&world->front, &request, &notify);
        demand(command_ring_front_free(&world->front) <= PVCALLS_SLOTS);
        command_ring_front_sleep(&world->front);
}

static void producer_step(struct world *world, size_t n_wanted) {
        struct iovec pieces[2];
        size_t n;

        if (data_producer_space(&world->producer, pieces, &n) == 0) {
                n_wanted = n_wanted < n ? n_wanted : n;
                check_pieces(pieces, n, n_wanted);
                data_producer_commit(&world->producer, n_wanted);
        }
        data_producer_must_notify(&world->producer);
        data_producer_sleep(&world->producer, RING_SIZE);
}

static void consumer_step(struct world *world, size_t n_wanted) {
        struct iovec pieces[2];
        int32_t error;
        size_t n;

        if (data_consumer_next(&world->consumer, pieces, &n, &error) == 0) {
                n_wanted = n_wanted < n ? n_wanted : n;
                check_pieces(pieces, n, n_wanted);
                demand(error <= 0 && (error == 0 || n == 0));
                data_consumer_commit(&world->consumer, n_wanted);
        }
        data_consumer_must_notify(&world->consumer);
        data_consumer_sleep(&world->consumer);
}

static void lie(struct world *world, struct input *input) {
        uint32_t where = next(input, 1), offset = next(input, 1);
        _Atomic uint32_t *words = where & 1 ? (_Atomic uint32_t *) &world->commands : (_Atomic uint32_t *) &world->indexes;

        atomic_store(&words[(where / 2 * 8 + offset) % 1024], (uint32_t) (int8_t) next(input, 1));
}

static void overwrite(struct world *world, struct input *input) {
        uint32_t where = next(input, 1);
        uint8_t *page = where & 1 ? (uint8_t *) &world->commands : (uint8_t *) &world->indexes;

        next_bytes(input, page + where / 2 % 64 * 64, 64);
}

static void step(struct world *world, struct input *input) {
        static struct data_pages pages;

        switch (next(input, 1) % 7) {
        case 0: back_step(world); break;
        case 1: front_step(world); break;
        case 2: producer_step(world, next(input, 1) % (RING_SIZE + 1)); break;
        case 3: consumer_step(world, next(input, 1) % (RING_SIZE + 1)); break;
        case 4: lie(world, input); break;
        case 5: overwrite(world, input); break;
        case 6:
                if (indexes_read(&world->indexes, PVCALLS_ORDER_MAX, &pages) == 0)
                        demand(pages.order >= 1 && pages.order <= PVCALLS_ORDER_MAX && pages.n_refs == 1u << pages.order);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input input = { data, size };
        bool suppress = next(&input, 1) & 1;
        struct world *world = aligned_alloc(4096, sizeof *world);

        demand(world);
        memset((void *) world, 0, sizeof *world);
        world->in = malloc(RING_SIZE);  /* apart, so that the sanitizer knows their ends */
        world->out = malloc(RING_SIZE);
        demand(world->in && world->out);
        command_ring_front_init(&world->front, &world->commands);
        command_ring_back_init(&world->back, &world->commands);
        data_producer_init(&world->producer, &world->indexes.in, world->in, RING_SIZE, suppress);
        data_consumer_init(&world->consumer, &world->indexes.out, world->out, RING_SIZE, suppress);
        while (input.n > 0)
                step(world, &input);
        free(world->in);
        free(world->out);
        free(world);
        return 0;
}
