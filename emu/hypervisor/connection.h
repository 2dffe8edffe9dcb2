/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Connections and the sockets they come in through.
 *
 * A client makes one request and waits for its answer, so there is never more than one reply on its way. A client that asks again
 * before it has read the answer is cut off: nothing is queued for it.
 *
 * Requests that are posted have no answer. Whoever asks for something may have heard from another client of what that one has posted, so all that
 * was posted on any connection is done before a request that waits. The set of arrivals, in which all connections are, says where there is any.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "handle.h"
#include "reply.h"

struct listener;

struct connection {
        struct listener *listener;
        int fd;
        int pidfd;                      /* of who connected; -1 if that is gone or was not asked for */
        sd_event_source *source;
        LIST_ENTRY(connection) of_listener;

        bool greeted;                   /* its hello was accepted; a request that leaves this false ends the connection */
        struct handle *handle;          /* on a domain's socket, after the hello */
        uint32_t waiting_op;            /* on the control socket: the operation to be answered later, or 0 */
        struct domain *waiting_for;     /* and the domain it is about, or NULL */
};

LIST_HEAD(connection_list, connection);

/*
 * Does one request. Returns the result to answer, with the reply in ret_reply, or LISTENER_LATER: the connection is answered by
 * connection_answer() when the time has come, and no more requests are read until then.
 */
typedef int (*listener_request_t)(struct connection *connection, const void *untrusted_packet, size_t n_packet,
                                  struct reply *ret_reply, void *userdata);
typedef void (*listener_closed_t)(struct connection *connection, void *userdata);

#define LISTENER_LATER 1

struct listener {
        sd_event *event;
        int fd;
        sd_event_source *source;
        sd_event_source *retry;         /* looks again after the machine was out of descriptors */
        struct connection_list connections;
        uint32_t n_connections;
        uint32_t max_connections;       /* others wait to be accepted; 0 for any number */
        int arrivals;                   /* the epoll set of all listeners' connections; edge-triggered */
        bool want_pidfd;                /* keep a pidfd of everyone who connects */
        listener_request_t request;
        listener_closed_t closed;       /* before a connection is freed because its client left */
        void *userdata;
};

/* Binds a socket at path in the directory dir_fd, and listens. type: SOCK_STREAM, ... Returns a descriptor or a negative errno. */
int socket_bind(int dir_fd, const char *name, int type);

/* Accepts connections on fd, which becomes the listener's in any case. The listener must not move. Returns 0 or a negative errno. */
int listener_start(struct listener *listener, sd_event *event, int fd);

/* Closes the socket: nobody can connect any more. Connections live on. */
void listener_stop(struct listener *listener);

/* Closes the connection and what its handle owns. Always returns NULL. */
struct connection *connection_free(struct connection *connection);

/* Sends a reply, reply may be NULL. If it cannot be sent, the client is cut off, and the connection goes when the loop notices. */
void connection_answer(struct connection *connection, int result, const struct reply *reply);
