/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the cases of posix-sockets share: how a result is told, and how a connection to the peer is made. */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CASE_WAIT_MS 30000      /* only has to end a hang; what is waited for comes at once */

struct case_context {
        const char *name;
        struct sockaddr_in peer;
};

struct socket_case {
        const char *name;
        void (*run)(struct case_context *context);
};

/* Prints the call and what it returned: the number, or the name of errno if it is negative. Returns the number. */
long tell(const struct case_context *context, const char *call, long result);

/* Prints the call and a text that is its result. */
void tell_text(const struct case_context *context, const char *call, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* A new TCP socket. Ends the program if there is none: without one there is nothing to compare. */
int socket_new(int flags);

/* A connection to the peer, which does what the byte says (peer.h). Ends the program if there is none. */
int peer_connect(const struct case_context *context, char what);

/* Asks the peer to connect to a port of 127.0.0.1 and to echo there. Returns the connection on which it was asked. */
int peer_dial(const struct case_context *context, uint16_t port);

/* A listener on a free port of 127.0.0.1. */
int listener_new(const struct case_context *context, int backlog, uint16_t *ret_port);

/* Waits for events. Returns them, or 0 after the time. */
int wait_events(int fd, short events, int milliseconds);

/* The pending error of a socket, as a positive errno, taken from it. */
int take_error(int fd);

/* Reads n bytes. Returns how many came before the end, or -1. */
ssize_t read_all(int fd, void *data, size_t n);
ssize_t write_all(int fd, const void *data, size_t n);

void case_refused(struct case_context *context);
void case_timeout(struct case_context *context);
void case_reset(struct case_context *context);
void case_half_close(struct case_context *context);
void case_address_in_use(struct case_context *context);
void case_linger(struct case_context *context);
void case_urgent(struct case_context *context);
void case_huge_write(struct case_context *context);
void case_full_buffer(struct case_context *context);
void case_states(struct case_context *context);
void case_names(struct case_context *context);
void case_options(struct case_context *context);
void case_accept(struct case_context *context);
void case_flags(struct case_context *context);
void case_vectors(struct case_context *context);
void case_sharing(struct case_context *context);
void case_waiting(struct case_context *context);
void case_sendfile(struct case_context *context);
void case_thousand_at_once(struct case_context *context);
void case_ten_thousand(struct case_context *context);
