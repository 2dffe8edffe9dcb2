/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * For tests: as much of a xenstored as the multiplexer can tell from the real one, for one domain and without a tree.
 *
 * It reads a path as its own name, knows no path that begins with "missing", and fires watches on the very path that is written.
 * Requests are answered at once, unless hold is set: then they pile up until toy_store_answer() is called for them, in any order.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "byte-queue.h"
#include "xenbus-message.h"

#define TOY_HELD_MAX 80u
#define TOY_TRANSACTIONS_MAX 64u
#define TOY_WATCHES_MAX 1100u

struct toy_watch {
        char *path;
        char *token;
};

struct toy_store {
        struct xenbus_message in;
        struct byte_queue out;
        bool hold;
        struct xenbus_message *held[TOY_HELD_MAX];
        unsigned n_held;
        uint32_t last_transaction;
        uint32_t transactions[TOY_TRANSACTIONS_MAX];
        unsigned n_transactions;
        struct toy_watch watches[TOY_WATCHES_MAX];
        unsigned n_watches;
        unsigned n_writes;
        unsigned n_ended[2];            /* transactions aborted, committed */
};

struct toy_store *toy_store_new(void);
struct toy_store *toy_store_free(struct toy_store *store);

/* Takes bytes of requests. What it says goes to out. */
void toy_store_feed(struct toy_store *store, const void *data, size_t n);

/* Answers one of the held requests; later ones move up. */
void toy_store_answer(struct toy_store *store, unsigned i);

/* Fires the watches on path. */
void toy_store_fire(struct toy_store *store, const char *path);

/* Says anything. */
void toy_store_say(struct toy_store *store, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n);
