/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the multiplexer is made of. xenbus-request.c writes to out, xenbus-reply.c reads from in, xenbus-mux.c gives the turns. */

#include <stdbool.h>

#include "xenbus-mux.h"

/* Something that xenstored was asked and has not answered yet. */
struct xenbus_request {
        struct xenbus_client *client;   /* NULL: this entry is free */
        uint32_t id;                    /* ours */
        struct xsd_sockmsg asked;       /* the client's header */
        struct xenbus_transaction *transaction; /* that it starts or ends, or NULL */
        struct xenbus_watch *watch;     /* that it sets or removes, or NULL */
};

struct xenbus_mux {
        struct xenbus_client *clients[XENBUS_MUX_CLIENTS_MAX];
        unsigned n_clients;
        unsigned turn;                  /* who is asked first, next time */
        struct xenbus_request requests[XENBUS_MUX_REQUESTS_MAX];
        unsigned n_requests;
        uint32_t last_request;
        uint64_t last_watch;
        unsigned n_watches;
        struct xenbus_message in;       /* from xenstored */
        struct xenbus_message out;      /* to xenstored, complete or empty */
        size_t n_out_done;              /* bytes of it that are in the ring */
};

struct xenbus_request *xenbus_mux_find_request(struct xenbus_mux *mux, uint32_t id);

/* A client's complete message: answers it, or puts what xenstored is to be asked into out. The message is used up. */
void xenbus_request_take(struct xenbus_mux *mux, struct xenbus_client *client);

/* Puts the next thing that must be done for a client that is gone into out, if there is one already. */
void xenbus_request_tidy(struct xenbus_mux *mux, struct xenbus_client *client);

/* xenstored's complete message: passes it on. The message is used up. Returns 0, or -EPROTO if it makes no sense. */
int xenbus_reply_take(struct xenbus_mux *mux);

/* Frees a client that is gone as soon as nothing of it is left. */
void xenbus_mux_forget(struct xenbus_mux *mux, struct xenbus_client *client);
