/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus-mux.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "xenbus-mux-private.h"

struct xenbus_mux *xenbus_mux_new(void) {
        return calloc(1, sizeof(struct xenbus_mux));
}

struct xenbus_mux *xenbus_mux_free(struct xenbus_mux *mux) {
        if (!mux)
                return NULL;
        for (unsigned i = 0; i < XENBUS_MUX_CLIENTS_MAX; i++)
                xenbus_client_free(mux->clients[i]);
        free(mux);
        return NULL;
}

int xenbus_mux_add(struct xenbus_mux *mux, struct xenbus_client **ret_client) {
        unsigned i = 0;

        while (i < XENBUS_MUX_CLIENTS_MAX && mux->clients[i])
                i++;
        if (i == XENBUS_MUX_CLIENTS_MAX)
                return -EUSERS;

        mux->clients[i] = xenbus_client_new();
        if (!mux->clients[i])
                return -ENOMEM;
        mux->n_clients++;
        *ret_client = mux->clients[i];
        return 0;
}

void xenbus_mux_remove(struct xenbus_mux *mux, struct xenbus_client *client) {
        assert(!client->gone);
        client->gone = true;
        byte_queue_clear(&client->out);
        if (!xenbus_message_is_complete(&client->in))
                xenbus_message_clear(&client->in);
        xenbus_mux_forget(mux, client);
}

void xenbus_mux_forget(struct xenbus_mux *mux, struct xenbus_client *client) {
        unsigned i = 0;

        if (!client->gone || client->n_requests > 0 || client->transactions || client->watches || client->in.n > 0)
                return;
        while (mux->clients[i] != client)
                i++;
        mux->clients[i] = xenbus_client_free(client);
        mux->n_clients--;
}

unsigned xenbus_mux_n_clients(const struct xenbus_mux *mux) {
        return mux->n_clients;
}

struct xenbus_request *xenbus_mux_find_request(struct xenbus_mux *mux, uint32_t id) {
        for (unsigned i = 0; i < XENBUS_MUX_REQUESTS_MAX; i++)
                if (mux->requests[i].client && mux->requests[i].id == id)
                        return &mux->requests[i];
        return NULL;
}

/* Returns whether the client used up its message, by asking xenstored or by being answered at once; it may have been the last of it. */
static bool client_turn(struct xenbus_mux *mux, struct xenbus_client *client) {
        if (client->n_requests >= XENBUS_CLIENT_REQUESTS_MAX || client->setting_watch || client->out.n > XENBUS_CLIENT_UNREAD_BUSY)
                return false;
        if (!xenbus_message_is_complete(&client->in)) {
                if (client->gone)
                        xenbus_request_tidy(mux, client);
                return false;
        }
        xenbus_request_take(mux, client);
        xenbus_mux_forget(mux, client);
        return true;
}

/* Fills out with the next message in turn, or finds that nobody has one: every client was asked since the last one was used up. */
static void mux_turn(struct xenbus_mux *mux) {
        unsigned n_idle = 0;

        while (n_idle < XENBUS_MUX_CLIENTS_MAX && mux->out.n == 0 && mux->n_requests < XENBUS_MUX_REQUESTS_MAX) {
                struct xenbus_client *client = mux->clients[mux->turn];

                mux->turn = (mux->turn + 1) % XENBUS_MUX_CLIENTS_MAX;
                n_idle = client && client_turn(mux, client) ? 0 : n_idle + 1;
        }
}

void xenbus_mux_ring_output(struct xenbus_mux *mux, const void **ret_data, size_t *ret_size) {
        if (mux->out.n == 0)
                mux_turn(mux);
        *ret_data = (const uint8_t *) &mux->out + mux->n_out_done;
        *ret_size = mux->out.n - mux->n_out_done;
}

void xenbus_mux_ring_output_done(struct xenbus_mux *mux, size_t n) {
        assert(n <= mux->out.n - mux->n_out_done);
        mux->n_out_done += n;
        if (mux->n_out_done < mux->out.n)
                return;
        xenbus_message_clear(&mux->out);
        mux->n_out_done = 0;
}

void xenbus_mux_ring_input(struct xenbus_mux *mux, void **ret_data, size_t *ret_size) {
        xenbus_message_room(&mux->in, ret_data, ret_size);
}

int xenbus_mux_ring_input_done(struct xenbus_mux *mux, size_t n) {
        if (xenbus_message_grow(&mux->in, n) < 0)
                return -EPROTO;
        return xenbus_message_is_complete(&mux->in) ? xenbus_reply_take(mux) : 0;
}
