/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A toy frontend, for tests: the device and its sockets as a guest has them, without any care for how a program would use them.
 *
 * It does what it is told, also what no frontend should. All calls wait until they are done, at most until a deadline.
 */

#include <stdbool.h>
#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xenstore.h>

#include "command-ring.h"
#include "data-ring.h"

#define TOY_SOCKETS_MAX 4096u
#define TOY_DEADLINE_MS 60000

struct toy_socket {
        bool used;
        uint64_t id;
        uint32_t ref, port, order, refs[PVCALLS_REFS_MAX];
        struct pvcalls_indexes *indexes;        /* NULL: none */
        uint8_t *data;
        struct data_producer out;
        struct data_consumer in;
        uint64_t n_sent, n_received;    /* where the pattern is, each way */
};

struct toy {
        struct xs_handle *xs;
        xengntshr_handle *shares;
        xenevtchn_handle *events;
        uint32_t backend_id;
        char *backend;                  /* its path */
        bool suppress;
        struct command_ring_front ring;
        struct pvcalls_command_page *page;      /* NULL: none */
        uint32_t ring_ref, port, next_req_id;
        struct pvcalls_response responses[PVCALLS_SLOTS];       /* that came and were not asked for */
        unsigned n_responses;
        struct toy_socket sockets[TOY_SOCKETS_MAX];
};

int toy_open(struct toy *toy);
void toy_close(struct toy *toy);

/* Waits until the backend is in one of the states (a bit each). Returns which, or -ETIME. */
int toy_wait_backend(struct toy *toy, unsigned states, int timeout_ms);
int toy_set_state(struct toy *toy, int state);
int toy_write(struct toy *toy, const char *node, const char *text);
char *toy_read_backend(struct toy *toy, const char *node);

/* Makes a ring and says so in the store. */
int toy_offer(struct toy *toy, bool suppress);

/* Waits for an event of any port, whatever it may be, at most so long. */
void toy_wait_event(struct toy *toy, int timeout_ms);

/* Puts a request and returns its req_id, or a negative errno. */
int64_t toy_request(struct toy *toy, struct pvcalls_request *request);

/* Waits for a response. Returns 0 or -ETIME, or -EPROTO. */
int toy_await(struct toy *toy, uint32_t req_id, int timeout_ms, struct pvcalls_response *ret_response);

struct toy_socket *toy_socket_find(struct toy *toy, uint64_t id);
/* Pages and a port for a socket; order 0: neither. */
int toy_socket_new(struct toy *toy, uint64_t id, uint32_t order, struct toy_socket **ret_socket);
/* Its pages as they are for a new socket. */
void toy_socket_renew(struct toy *toy, struct toy_socket *socket);
void toy_socket_free(struct toy *toy, struct toy_socket *socket);
