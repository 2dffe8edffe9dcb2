/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The multiplexer's way down: what becomes of a client's message. */

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "xenbus-mux-private.h"

#define OUR_TOKEN_MAX sizeof "ffffffffffffffff"

/* Answers the client's message without asking xenstored. */
static void answer(struct xenbus_client *client, uint32_t type, const char *text) {
        struct xsd_sockmsg header = client->in.header;

        header.type = type;
        header.len = strlen(text) + 1;
        xenbus_client_tell(client, &header, text);
}

/* Puts a message into out, in two pieces. The caller knows that there is a free request, and remembers in it what the reply is about. */
static struct xenbus_request *ask(struct xenbus_mux *mux, struct xenbus_client *client, const struct xsd_sockmsg *header, const void *first,
                                  size_t n_first, const void *second, size_t n_second) {
        struct xenbus_request *request = mux->requests;

        assert(mux->out.n == 0 && mux->n_requests < XENBUS_MUX_REQUESTS_MAX);
        assert(n_first + n_second <= XENSTORE_PAYLOAD_MAX); /* longer, and xenstored would have done with the whole domain */
        while (request->client)
                request++;
        while (xenbus_mux_find_request(mux, ++mux->last_request))
                ;
        *request = (struct xenbus_request) { .client = client, .id = mux->last_request, .asked = *header };
        mux->n_requests++;
        client->n_requests++;

        mux->out.header = *header;
        mux->out.header.req_id = request->id;
        mux->out.header.len = n_first + n_second;
        memcpy(mux->out.body, first, n_first);
        memcpy(mux->out.body + n_first, second, n_second);
        mux->out.n = sizeof mux->out.header + mux->out.header.len;
        return request;
}

static struct xenbus_request *ask_as_it_is(struct xenbus_mux *mux, struct xenbus_client *client) {
        return ask(mux, client, &client->in.header, client->in.body, client->in.header.len, "", 0);
}

static void ask_watch(struct xenbus_mux *mux, struct xenbus_client *client, const struct xsd_sockmsg *header, struct xenbus_watch *watch) {
        struct xsd_sockmsg outside = *header;
        char token[OUR_TOKEN_MAX];
        struct xenbus_request *request;

        outside.tx_id = 0; /* watches are never part of a transaction */
        snprintf(token, sizeof token, "%" PRIx64, watch->id);
        request = ask(mux, client, &outside, watch->path, strlen(watch->path) + 1, token, strlen(token) + 1);
        request->asked = *header;
        request->watch = watch;
        client->setting_watch = true;
        if (header->type == XS_UNWATCH)
                watch->state = XENBUS_WATCH_ENDING;
}

static void take_watch(struct xenbus_mux *mux, struct xenbus_client *client) {
        const char *path, *token;
        struct xenbus_watch *watch;

        if (xenbus_message_strings(&client->in, &path, &token) < 0)
                return answer(client, XS_ERROR, "EINVAL");
        if (strlen(path) + 1 + OUR_TOKEN_MAX > XENSTORE_PAYLOAD_MAX) /* XENSTORE_ABS_PATH_MAX is less, and EINVAL to xenstored */
                return answer(client, XS_ERROR, "EINVAL");
        watch = mux->n_watches < XENBUS_MUX_WATCHES_MAX ? xenbus_client_add_watch(client, ++mux->last_watch, path, token) : NULL;
        if (!watch)
                return answer(client, XS_ERROR, "E2BIG"); /* xenstored's word for too many watches */
        mux->n_watches++;
        ask_watch(mux, client, &client->in.header, watch);
}

static void take_unwatch(struct xenbus_mux *mux, struct xenbus_client *client) {
        const char *path, *token;
        struct xenbus_watch *watch;

        if (xenbus_message_strings(&client->in, &path, &token) < 0)
                return answer(client, XS_ERROR, "EINVAL");
        watch = xenbus_client_find_watch(client, path, token);
        if (!watch)
                return answer(client, XS_UNWATCH, "OK");
        ask_watch(mux, client, &client->in.header, watch);
}

static void take_transaction_start(struct xenbus_mux *mux, struct xenbus_client *client) {
        struct xenbus_transaction *transaction = xenbus_client_add_transaction(client);

        if (!transaction)
                return answer(client, XS_ERROR, "ENOSPC"); /* xenstored's word for too many transactions */
        ask_as_it_is(mux, client)->transaction = transaction;
}

static bool ends_a_transaction(const struct xenbus_message *message) {
        return message->header.len == 2 && (memcmp(message->body, "T", 2) == 0 || memcmp(message->body, "F", 2) == 0);
}

static void take_any(struct xenbus_mux *mux, struct xenbus_client *client) {
        const struct xsd_sockmsg *header = &client->in.header;
        struct xenbus_transaction *transaction = header->tx_id != 0 ? xenbus_client_find_transaction(client, header->tx_id) : NULL;

        if (header->tx_id != 0 && !transaction)
                return answer(client, XS_ERROR, "ENOENT");
        if (header->type != XS_TRANSACTION_END) {
                ask_as_it_is(mux, client);
                return;
        }
        if (!ends_a_transaction(&client->in))
                return answer(client, XS_ERROR, "EINVAL");
        if (!transaction || transaction->ending) /* none, or for the second time: xenstored has the words for it */
                ask_as_it_is(mux, client);
        else {
                ask_as_it_is(mux, client)->transaction = transaction;
                transaction->ending = true;
        }
}

void xenbus_request_take(struct xenbus_mux *mux, struct xenbus_client *client) {
        switch (client->in.header.type) {
        case XS_WATCH:
                take_watch(mux, client);
                break;
        case XS_UNWATCH:
                take_unwatch(mux, client);
                break;
        case XS_TRANSACTION_START:
                take_transaction_start(mux, client);
                break;
        default:
                take_any(mux, client);
        }
        xenbus_message_clear(&client->in);
}

void xenbus_request_tidy(struct xenbus_mux *mux, struct xenbus_client *client) {
        struct xenbus_transaction *transaction = client->transactions;
        struct xenbus_watch *watch = client->watches;

        while (transaction && (transaction->id == 0 || transaction->ending))
                transaction = transaction->next;
        if (transaction) {
                const struct xsd_sockmsg end = { .type = XS_TRANSACTION_END, .tx_id = transaction->id };

                ask(mux, client, &end, "F", 2, "", 0)->transaction = transaction;
                transaction->ending = true;
                return;
        }

        while (watch && watch->state != XENBUS_WATCH_SET)
                watch = watch->next;
        if (watch)
                ask_watch(mux, client, &(struct xsd_sockmsg) { .type = XS_UNWATCH }, watch);
}
