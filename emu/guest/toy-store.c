/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "toy-store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct toy_store *toy_store_new(void) {
        return calloc(1, sizeof(struct toy_store));
}

static void drop_watch(struct toy_store *store, unsigned i) {
        free(store->watches[i].path);
        free(store->watches[i].token);
        store->watches[i] = store->watches[--store->n_watches];
}

struct toy_store *toy_store_free(struct toy_store *store) {
        while (store->n_held > 0)
                free(store->held[--store->n_held]);
        while (store->n_watches > 0)
                drop_watch(store, 0);
        byte_queue_clear(&store->out);
        free(store);
        return NULL;
}

void toy_store_say(struct toy_store *store, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *body, uint32_t n) {
        const struct xsd_sockmsg header = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = n };

        if (byte_queue_reserve(&store->out, sizeof header + n) < 0)
                abort();
        byte_queue_append(&store->out, &header, sizeof header);
        byte_queue_append(&store->out, body, n);
}

static void reply(struct toy_store *store, const struct xenbus_message *request, uint32_t type, const char *text) {
        toy_store_say(store, type, request->header.req_id, request->header.tx_id, text, strlen(text) + 1);
}

static void say_event(struct toy_store *store, const struct toy_watch *watch) {
        char body[2 * XENSTORE_PAYLOAD_MAX];
        int n = snprintf(body, sizeof body, "%s%c%s", watch->path, 0, watch->token) + 1;

        toy_store_say(store, XS_WATCH_EVENT, 0, 0, body, n);
}

void toy_store_fire(struct toy_store *store, const char *path) {
        for (unsigned i = 0; i < store->n_watches; i++)
                if (strcmp(store->watches[i].path, path) == 0)
                        say_event(store, &store->watches[i]);
}

static unsigned find_transaction(const struct toy_store *store, uint32_t id) {
        unsigned i = 0;

        while (i < store->n_transactions && store->transactions[i] != id)
                i++;
        return i;
}

static void answer_start(struct toy_store *store, const struct xenbus_message *request) {
        char text[16];

        if (store->n_transactions == TOY_TRANSACTIONS_MAX)
                return reply(store, request, XS_ERROR, "ENOSPC");
        store->transactions[store->n_transactions++] = ++store->last_transaction;
        snprintf(text, sizeof text, "%u", store->last_transaction);
        reply(store, request, XS_TRANSACTION_START, text);
}

static void answer_end(struct toy_store *store, const struct xenbus_message *request) {
        unsigned i = find_transaction(store, request->header.tx_id);

        assert(request->header.len == 2);
        if (i == store->n_transactions)
                return reply(store, request, XS_ERROR, "ENOENT");
        store->transactions[i] = store->transactions[--store->n_transactions];
        store->n_ended[request->body[0] == 'T']++;
        reply(store, request, XS_TRANSACTION_END, "OK");
}

static void strings(const struct xenbus_message *request, const char **ret_path, const char **ret_token) {
        if (xenbus_message_strings(request, ret_path, ret_token) != (int) request->header.len)
                abort();
}

static void answer_watch(struct toy_store *store, const struct xenbus_message *request) {
        const char *path, *token;
        struct toy_watch *watch = &store->watches[store->n_watches];

        strings(request, &path, &token);
        for (unsigned i = 0; i < store->n_watches; i++)
                assert(strcmp(store->watches[i].token, token) != 0); /* every token is new */
        if (strncmp(path, "missing", 7) == 0)
                return reply(store, request, XS_ERROR, "EINVAL");
        if (store->n_watches == TOY_WATCHES_MAX)
                return reply(store, request, XS_ERROR, "E2BIG");
        *watch = (struct toy_watch) { .path = strdup(path), .token = strdup(token) };
        store->n_watches++;
        reply(store, request, XS_WATCH, "OK");
        say_event(store, watch);
}

static void answer_unwatch(struct toy_store *store, const struct xenbus_message *request) {
        const char *path, *token;

        strings(request, &path, &token);
        for (unsigned i = 0; i < store->n_watches; i++)
                if (strcmp(store->watches[i].path, path) == 0 && strcmp(store->watches[i].token, token) == 0) {
                        drop_watch(store, i);
                        return reply(store, request, XS_UNWATCH, "OK");
                }
        reply(store, request, XS_ERROR, "ENOENT");
}

static void answer_path(struct toy_store *store, const struct xenbus_message *request) {
        char path[XENSTORE_PAYLOAD_MAX + 1] = "";

        memcpy(path, request->body, request->header.len);
        if (strncmp(path, "missing", 7) == 0)
                return reply(store, request, XS_ERROR, "ENOENT");
        if (request->header.type == XS_READ) /* without the NUL, and as long as it was */
                return toy_store_say(store, XS_READ, request->header.req_id, request->header.tx_id, request->body, request->header.len);
        store->n_writes++;
        reply(store, request, XS_WRITE, "OK");
        toy_store_fire(store, path);
}

static void answer_reset(struct toy_store *store, const struct xenbus_message *request) {
        while (store->n_watches > 0)
                drop_watch(store, 0);
        store->n_transactions = 0;
        reply(store, request, XS_RESET_WATCHES, "OK");
}

static void answer(struct toy_store *store, const struct xenbus_message *request) {
        if (request->header.tx_id != 0 && find_transaction(store, request->header.tx_id) == store->n_transactions)
                return reply(store, request, XS_ERROR, "ENOENT");
        switch (request->header.type) {
        case XS_READ:
        case XS_WRITE:
                return answer_path(store, request);
        case XS_TRANSACTION_START:
                return answer_start(store, request);
        case XS_TRANSACTION_END:
                return answer_end(store, request);
        case XS_WATCH:
                return answer_watch(store, request);
        case XS_UNWATCH:
                return answer_unwatch(store, request);
        case XS_RESET_WATCHES:
                return answer_reset(store, request);
        default:
                return reply(store, request, XS_ERROR, "ENOSYS");
        }
}

void toy_store_answer(struct toy_store *store, unsigned i) {
        struct xenbus_message *request = store->held[i];

        store->n_held--;
        memmove(store->held + i, store->held + i + 1, (store->n_held - i) * sizeof *store->held);
        answer(store, request);
        free(request);
}

static void take(struct toy_store *store) {
        struct xenbus_message *request = malloc(sizeof *request);

        assert(request && store->n_held < TOY_HELD_MAX);
        *request = store->in;
        xenbus_message_clear(&store->in);
        store->held[store->n_held++] = request;
        if (!store->hold)
                toy_store_answer(store, store->n_held - 1);
}

void toy_store_feed(struct toy_store *store, const void *data, size_t n) {
        while (n > 0) {
                size_t size;
                void *room;

                xenbus_message_room(&store->in, &room, &size);
                if (size > n)
                        size = n;
                memcpy(room, data, size);
                if (xenbus_message_grow(&store->in, size) < 0)
                        abort(); /* xenstored would have done with the whole domain */
                if (xenbus_message_is_complete(&store->in))
                        take(store);
                data = (const char *) data + size;
                n -= size;
        }
}
