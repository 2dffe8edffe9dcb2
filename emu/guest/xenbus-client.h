/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One client of the xenbus node: what an open file of Linux's /dev/xen/xenbus is.
 *
 * It holds the message that the client is sending, the bytes that wait to be read by it, and the transactions and watches that are
 * its own. It does no I/O: its owner puts bytes where xenbus_client_input() says and takes them from xenbus_client_output().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "byte-queue.h"
#include "xenbus-message.h"

/* More than a guest's quota in xenstored (10 and 128); domain 0 has no quota there, so this is what bounds its clients. */
#define XENBUS_CLIENT_TRANSACTIONS_MAX 256u
#define XENBUS_CLIENT_WATCHES_MAX 1024u

/* Requests that one client may have on their way: below the 20 that xenstored takes from a domain, so that others get in between. */
#define XENBUS_CLIENT_REQUESTS_MAX 8u

/*
 * A client that leaves this much unread gets no further request through, ...
 *
 * ... which keeps the answers it has asked for well below the bound at which it is cut off. Only watch events take it there: nobody can
 * hold them back without holding back the domain.
 */
#define XENBUS_CLIENT_UNREAD_BUSY (64u * 1024)
#define XENBUS_CLIENT_UNREAD_MAX (256u * 1024)

struct xenbus_transaction {
        struct xenbus_transaction *next;
        uint32_t id;                    /* xenstored's number, 0 until it has answered */
        bool ending;                    /* its end was sent, but not answered yet */
};

enum xenbus_watch_state {
        XENBUS_WATCH_ASKED,             /* sent, but not answered yet */
        XENBUS_WATCH_SET,
        XENBUS_WATCH_ENDING,            /* its removal was sent, but not answered yet: its events are dropped */
};

struct xenbus_watch {
        struct xenbus_watch *next;
        uint64_t id;                    /* our token, which no other watch of the domain ever had */
        enum xenbus_watch_state state;
        const char *token;              /* the client's */
        char path[];
};

struct xenbus_client {
        struct xenbus_message in;
        struct byte_queue out;
        struct xenbus_transaction *transactions;
        struct xenbus_watch *watches;
        unsigned n_transactions;
        unsigned n_watches;
        unsigned n_requests;            /* on their way to or from xenstored */
        bool setting_watch;             /* a watch is being set or removed: Linux's write() would not have returned yet */
        bool gone;                      /* closed: what it leaves behind is being tidied up */
        const char *trouble;            /* why it must be closed, or NULL */
};

struct xenbus_client *xenbus_client_new(void);
struct xenbus_client *xenbus_client_free(struct xenbus_client *client);

/* Where the client's next bytes go; size 0 as long as its last message could not be passed on yet. */
void xenbus_client_input(struct xenbus_client *client, void **ret_data, size_t *ret_size);
void xenbus_client_input_done(struct xenbus_client *client, size_t n);

/* What the client is to be told next; size 0 if nothing. */
void xenbus_client_output(const struct xenbus_client *client, const void **ret_data, size_t *ret_size);
void xenbus_client_output_done(struct xenbus_client *client, size_t n);

/* For a person: why the client must be closed, or NULL. Once set, it neither takes nor gives any more bytes. */
const char *xenbus_client_trouble(const struct xenbus_client *client);

/*
 * The rest is for the multiplexer (xenbus-mux.h).
 */

/* Tells the client something, or puts it in trouble if it has too much unread. One that is gone or in trouble is told nothing. */
void xenbus_client_tell(struct xenbus_client *client, const struct xsd_sockmsg *header, const void *body);

/* Return NULL if there is no memory, or if the client has its fill of them. */
struct xenbus_transaction *xenbus_client_add_transaction(struct xenbus_client *client);
struct xenbus_watch *xenbus_client_add_watch(struct xenbus_client *client, uint64_t id, const char *path, const char *token);

void xenbus_client_drop_transaction(struct xenbus_client *client, struct xenbus_transaction *transaction);
void xenbus_client_drop_watch(struct xenbus_client *client, struct xenbus_watch *watch);

/* Return NULL if the client has no such thing. */
struct xenbus_transaction *xenbus_client_find_transaction(struct xenbus_client *client, uint32_t id);
struct xenbus_watch *xenbus_client_find_watch(struct xenbus_client *client, const char *path, const char *token);
struct xenbus_watch *xenbus_client_find_watch_id(struct xenbus_client *client, uint64_t id);
