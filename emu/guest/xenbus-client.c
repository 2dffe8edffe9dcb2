/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus-client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct xenbus_client *xenbus_client_new(void) {
        return calloc(1, sizeof(struct xenbus_client));
}

struct xenbus_client *xenbus_client_free(struct xenbus_client *client) {
        if (!client)
                return NULL;
        while (client->transactions)
                xenbus_client_drop_transaction(client, client->transactions);
        while (client->watches)
                xenbus_client_drop_watch(client, client->watches);
        byte_queue_clear(&client->out);
        free(client);
        return NULL;
}

/* What it had to say and was to be told does not matter any more; its transactions and watches do, until they are tidied up. */
static void client_put_in_trouble(struct xenbus_client *client, const char *why) {
        client->trouble = why;
        xenbus_message_clear(&client->in);
        byte_queue_clear(&client->out);
}

void xenbus_client_input(struct xenbus_client *client, void **ret_data, size_t *ret_size) {
        xenbus_message_room(&client->in, ret_data, ret_size);
        if (client->trouble)
                *ret_size = 0;
}

void xenbus_client_input_done(struct xenbus_client *client, size_t n) {
        /* Linux's node would fail the write() with E2BIG. Here the bytes are in the stream already, and the next message is behind them. */
        if (xenbus_message_grow(&client->in, n) < 0)
                client_put_in_trouble(client, "its message is longer than XENSTORE_PAYLOAD_MAX (4096)");
}

void xenbus_client_output(const struct xenbus_client *client, const void **ret_data, size_t *ret_size) {
        byte_queue_front(&client->out, ret_data, ret_size);
}

void xenbus_client_output_done(struct xenbus_client *client, size_t n) {
        byte_queue_consume(&client->out, n);
}

const char *xenbus_client_trouble(const struct xenbus_client *client) {
        return client->trouble;
}

void xenbus_client_tell(struct xenbus_client *client, const struct xsd_sockmsg *header, const void *body) {
        size_t n = sizeof *header + header->len;

        if (client->gone || client->trouble)
                return;
        if (client->out.n + n > XENBUS_CLIENT_UNREAD_MAX)
                client_put_in_trouble(client, "it does not read its watch events (256 KiB are waiting)");
        else if (byte_queue_reserve(&client->out, n) < 0)
                client_put_in_trouble(client, "out of memory");
        else {
                byte_queue_append(&client->out, header, sizeof *header);
                byte_queue_append(&client->out, body, header->len);
        }
}

struct xenbus_transaction *xenbus_client_add_transaction(struct xenbus_client *client) {
        struct xenbus_transaction *transaction;

        if (client->n_transactions >= XENBUS_CLIENT_TRANSACTIONS_MAX)
                return NULL;
        transaction = calloc(1, sizeof *transaction);
        if (!transaction)
                return NULL;
        transaction->next = client->transactions;
        client->transactions = transaction;
        client->n_transactions++;
        return transaction;
}

struct xenbus_watch *xenbus_client_add_watch(struct xenbus_client *client, uint64_t id, const char *path, const char *token) {
        size_t n_path = strlen(path) + 1, n_token = strlen(token) + 1;
        struct xenbus_watch *watch;

        if (client->n_watches >= XENBUS_CLIENT_WATCHES_MAX)
                return NULL;
        watch = malloc(sizeof *watch + n_path + n_token);
        if (!watch)
                return NULL;
        *watch = (struct xenbus_watch) {
                .next = client->watches,
                .id = id,
                .state = XENBUS_WATCH_ASKED,
                .token = watch->path + n_path,
        };
        memcpy(watch->path, path, n_path);
        memcpy(watch->path + n_path, token, n_token);
        client->watches = watch;
        client->n_watches++;
        return watch;
}

void xenbus_client_drop_transaction(struct xenbus_client *client, struct xenbus_transaction *transaction) {
        struct xenbus_transaction **link = &client->transactions;

        while (*link != transaction)
                link = &(*link)->next;
        *link = transaction->next;
        client->n_transactions--;
        free(transaction);
}

void xenbus_client_drop_watch(struct xenbus_client *client, struct xenbus_watch *watch) {
        struct xenbus_watch **link = &client->watches;

        while (*link != watch)
                link = &(*link)->next;
        *link = watch->next;
        client->n_watches--;
        free(watch);
}

struct xenbus_transaction *xenbus_client_find_transaction(struct xenbus_client *client, uint32_t id) {
        struct xenbus_transaction *transaction;

        assert(id != 0); /* would find those that have not started yet */
        for (transaction = client->transactions; transaction; transaction = transaction->next)
                if (transaction->id == id)
                        return transaction;
        return NULL;
}

struct xenbus_watch *xenbus_client_find_watch(struct xenbus_client *client, const char *path, const char *token) {
        struct xenbus_watch *watch;

        for (watch = client->watches; watch; watch = watch->next)
                if (watch->state != XENBUS_WATCH_ENDING && strcmp(watch->path, path) == 0 && strcmp(watch->token, token) == 0)
                        return watch;
        return NULL;
}

struct xenbus_watch *xenbus_client_find_watch_id(struct xenbus_client *client, uint64_t id) {
        struct xenbus_watch *watch;

        for (watch = client->watches; watch; watch = watch->next)
                if (watch->id == id)
                        return watch;
        return NULL;
}
