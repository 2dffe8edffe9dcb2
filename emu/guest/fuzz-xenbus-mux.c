/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks the multiplexer from both sides.
 *
 * The input is a list of operations, each a byte that says what and with whom and a byte that says how much; bytes that a client or
 * xenstored is to send follow. Clients send raw bytes or well-formed messages; xenstored is the toy, until the input makes it lie.
 *
 * Invariants: what goes into the ring is well-formed (the toy aborts otherwise); a client is told whole messages only; a client uses
 * only transactions that it was told of; and if xenstored behaves, nothing is left of clients that have gone, in the multiplexer
 * or in the store.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "toy-store.h"
#include "xenbus-mux.h"

#define CLIENTS 4u

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t n;
};

struct party {
        struct xenbus_client *client;
        struct xenbus_message told;
};

struct world {
        struct xenbus_mux *mux;
        struct toy_store *store;
        struct party parties[CLIENTS];
};

static uint8_t next(struct input *input) {
        if (input->n == 0)
                return 0;
        input->n--;
        return *input->data++;
}

static size_t next_bytes(struct input *input, void *to, size_t n) {
        if (n > input->n)
                n = input->n;
        memcpy(to, input->data, n);
        input->data += n;
        input->n -= n;
        return n;
}

static void party_send(struct party *party, const void *data, size_t n) {
        size_t size, n_done = 0;
        void *room;

        for (;;) {
                xenbus_client_input(party->client, &room, &size);
                if (size > n - n_done)
                        size = n - n_done;
                if (size == 0)
                        return;
                memcpy(room, (const char *) data + n_done, size);
                xenbus_client_input_done(party->client, size);
                n_done += size;
        }
}

/* A message that means something: its type, transaction and body are picked from the few that matter. */
static void party_send_message(struct party *party, struct input *input) {
        static const uint8_t types[] = { XS_READ,  XS_WRITE,   XS_TRANSACTION_START, XS_TRANSACTION_END, XS_TRANSACTION_END,
                                         XS_WATCH, XS_UNWATCH, XS_RESET_WATCHES };
        static const struct {
                const char *bytes;
                uint32_t n;
        } bodies[] = { { "T", 2 }, { "F", 2 }, { "a\0t", 4 }, { "b\0t", 4 }, { "a\0u", 4 }, { "missing\0t", 10 }, { "a", 1 }, { "", 0 } };
        uint8_t choice = next(input), tx_id = next(input);
        struct xenbus_message message = {
                .header = { .type = types[choice % 8], .req_id = choice, .tx_id = tx_id % 8, .len = bodies[choice / 8 % 8].n },
        };

        memcpy(message.body, bodies[choice / 8 % 8].bytes, message.header.len);
        party_send(party, &message, sizeof message.header + message.header.len);
}

static void party_listen(struct party *party, size_t n) {
        size_t n_there, size;
        const void *data;
        void *room;

        xenbus_client_output(party->client, &data, &n_there);
        if (n > n_there)
                n = n_there;
        for (size_t n_done = 0; n_done < n; n_done += size) {
                xenbus_message_room(&party->told, &room, &size);
                if (size > n - n_done)
                        size = n - n_done;
                memcpy(room, (const char *) data + n_done, size);
                demand(xenbus_message_grow(&party->told, size) == 0);
                if (xenbus_message_is_complete(&party->told))
                        xenbus_message_clear(&party->told);
        }
        xenbus_client_output_done(party->client, n);
}

static size_t move_down(struct world *world, size_t n) {
        const void *data;
        size_t size;

        xenbus_mux_ring_output(world->mux, &data, &size);
        if (size > n)
                size = n;
        if (size == 0)
                return 0;
        toy_store_feed(world->store, data, size);
        xenbus_mux_ring_output_done(world->mux, size);
        return size;
}

static int move_up(struct world *world, size_t n) {
        size_t size, n_there;
        const void *data;
        void *room;

        byte_queue_front(&world->store->out, &data, &n_there);
        xenbus_mux_ring_input(world->mux, &room, &size);
        demand(size > 0);
        if (size > n_there)
                size = n_there;
        if (size > n)
                size = n;
        if (size == 0)
                return 0;
        memcpy(room, data, size);
        byte_queue_consume(&world->store->out, size);
        return xenbus_mux_ring_input_done(world->mux, size) < 0 ? -1 : (int) size;
}

static void party_come(struct world *world, struct party *party) {
        if (!party->client && xenbus_mux_n_clients(world->mux) < 64) /* dead ones may be waiting for a store that holds its answers */
                demand(xenbus_mux_add(world->mux, &party->client) == 0);
}

static void party_go(struct world *world, struct party *party) {
        if (party->client)
                xenbus_mux_remove(world->mux, party->client);
        *party = (struct party) {};
}

/* Says bytes of the input in xenstored's place: what the multiplexer makes of them may end it, but no more. */
static bool store_lies(struct world *world, struct input *input) {
        uint8_t bytes[64];
        size_t n = next_bytes(input, bytes, next(input) % sizeof bytes);

        if (byte_queue_reserve(&world->store->out, n) < 0)
                abort();
        byte_queue_append(&world->store->out, bytes, n);
        for (int r = 1; r != 0;) {
                r = move_up(world, SIZE_MAX);
                if (r < 0)
                        return false;
        }
        return true;
}

/* Returns false if the multiplexer gave up. */
static bool operate(struct world *world, struct input *input, bool *ret_lied) {
        uint8_t what = next(input), bytes[256];
        struct party *party = &world->parties[what % CLIENTS];

        switch (what / CLIENTS % 10) {
        case 0:
                party_come(world, party);
                break;
        case 1:
                party_go(world, party);
                break;
        case 2:
        case 3:
                party_come(world, party);
                if (party->client)
                        party_send_message(party, input);
                break;
        case 4:
                party_come(world, party);
                if (party->client)
                        party_send(party, bytes, next_bytes(input, bytes, next(input)));
                break;
        case 5:
                if (party->client)
                        party_listen(party, next(input));
                break;
        case 6:
                move_down(world, next(input));
                break;
        case 7:
                return move_up(world, next(input)) >= 0;
        case 8:
                if (world->store->n_held > 0)
                        toy_store_answer(world->store, next(input) % world->store->n_held);
                else
                        world->store->hold = next(input) % 2;
                break;
        case 9:
                *ret_lied = true;
                return store_lies(world, input);
        }
        return true;
}

static void finish(struct world *world) {
        int n;

        for (unsigned i = 0; i < CLIENTS; i++)
                party_go(world, &world->parties[i]);
        world->store->hold = false;
        do {
                while (world->store->n_held > 0)
                        toy_store_answer(world->store, 0);
                n = move_up(world, SIZE_MAX);
                demand(n >= 0);
        } while (move_down(world, SIZE_MAX) + n > 0);

        demand(xenbus_mux_n_clients(world->mux) == 0);
        demand(world->store->n_transactions == 0);
        demand(world->store->n_watches == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct world world = { .mux = xenbus_mux_new(), .store = toy_store_new() };
        struct input input = { data, size };
        bool lied = false, alive = true;

        while (alive && input.n > 0)
                alive = operate(&world, &input, &lied);
        demand(alive || lied);
        if (alive && !lied)
                finish(&world);
        xenbus_mux_free(world.mux);
        toy_store_free(world.store);
        return 0;
}
