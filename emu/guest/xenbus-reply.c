/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The multiplexer's way up: what becomes of a message from xenstored. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "xenbus-mux-private.h"

static struct xenbus_watch *find_watch(struct xenbus_mux *mux, uint64_t id, struct xenbus_client **ret_client) {
        for (unsigned i = 0; i < XENBUS_MUX_CLIENTS_MAX; i++) {
                struct xenbus_watch *watch = mux->clients[i] ? xenbus_client_find_watch_id(mux->clients[i], id) : NULL;

                if (watch) {
                        *ret_client = mux->clients[i];
                        return watch;
                }
        }
        return NULL;
}

/* Passes an event on with the client's token. An event of a watch that was removed meanwhile is dropped, as on Linux. */
static int take_event(struct xenbus_mux *mux) {
        struct xsd_sockmsg header = { .type = XS_WATCH_EVENT };
        uint8_t body[XENSTORE_PAYLOAD_MAX];
        const char *path, *token;
        size_t n_path, n_token;
        struct xenbus_client *client;
        struct xenbus_watch *watch;

        if (xenbus_message_strings(&mux->in, &path, &token) != (int) mux->in.header.len)
                return -EPROTO;
        watch = find_watch(mux, strtoull(token, NULL, 16), &client);
        if (!watch || watch->state == XENBUS_WATCH_ENDING)
                return 0;

        n_path = strlen(path) + 1;
        n_token = strlen(watch->token) + 1;
        if (n_path + n_token > sizeof body) /* xenstored drops an event that is too long, too, but it knows our token only */
                return 0;
        memcpy(body, path, n_path);
        memcpy(body + n_path, watch->token, n_token);
        header.len = n_path + n_token;
        xenbus_client_tell(client, &header, body);
        return 0;
}

/* A transaction's number, in decimal and with its NUL. Returns 0, which is no number of any, if it is something else. */
static uint32_t transaction_number(const struct xenbus_message *message) {
        const char *text = (const char *) message->body;
        unsigned long id;
        char *end;

        if (message->header.len < 2 || message->header.len > sizeof "4294967295" || text[message->header.len - 1] != 0)
                return 0;
        if (strspn(text, "0123456789") != message->header.len - 1)
                return 0;
        id = strtoul(text, &end, 10);
        return id <= UINT32_MAX ? id : 0;
}

static int settle_start(struct xenbus_mux *mux, struct xenbus_request *request) {
        if (mux->in.header.type == XS_ERROR) {
                xenbus_client_drop_transaction(request->client, request->transaction);
                return 0;
        }
        request->transaction->id = transaction_number(&mux->in);
        return request->transaction->id != 0 ? 0 : -EPROTO;
}

static void drop_watch(struct xenbus_mux *mux, struct xenbus_request *request) {
        xenbus_client_drop_watch(request->client, request->watch);
        mux->n_watches--;
}

/* Only one request at a time is about a watch: its client has no turn meanwhile. */
static void settle_watch(struct xenbus_mux *mux, struct xenbus_request *request) {
        request->client->setting_watch = false;
        if (mux->in.header.type == XS_ERROR || request->asked.type == XS_UNWATCH)
                drop_watch(mux, request);
        else
                request->watch->state = XENBUS_WATCH_SET;
}

/* Does what the reply means for the client's transactions and watches. */
static int settle(struct xenbus_mux *mux, struct xenbus_request *request) {
        switch (request->asked.type) {
        case XS_TRANSACTION_START:
                return settle_start(mux, request);
        case XS_TRANSACTION_END:
                if (request->transaction) /* over, whether xenstored likes its end or not */
                        xenbus_client_drop_transaction(request->client, request->transaction);
                return 0;
        case XS_WATCH:
        case XS_UNWATCH:
                settle_watch(mux, request);
                return 0;
        default:
                return 0;
        }
}

/* Tells the client the reply under its own number. The removal of a watch succeeds whatever xenstored says, as on Linux. */
static void tell(struct xenbus_mux *mux, struct xenbus_request *request) {
        struct xsd_sockmsg header = request->asked;
        const void *body = mux->in.body;

        header.type = mux->in.header.type;
        header.len = mux->in.header.len;
        if (request->asked.type == XS_UNWATCH) {
                header.type = XS_UNWATCH;
                header.len = sizeof "OK";
                body = "OK";
        }
        xenbus_client_tell(request->client, &header, body);
}

static int take_reply(struct xenbus_mux *mux) {
        struct xenbus_request *request = xenbus_mux_find_request(mux, mux->in.header.req_id);
        struct xenbus_client *client;
        int r;

        if (!request)
                return -EPROTO;
        r = settle(mux, request);
        if (r < 0)
                return r;
        tell(mux, request);

        client = request->client;
        *request = (struct xenbus_request) {};
        mux->n_requests--;
        client->n_requests--;
        xenbus_mux_forget(mux, client);
        return 0;
}

int xenbus_reply_take(struct xenbus_mux *mux) {
        int r = mux->in.header.type == XS_WATCH_EVENT ? take_event(mux) : take_reply(mux);

        xenbus_message_clear(&mux->in);
        return r;
}
