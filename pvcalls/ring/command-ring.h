/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command ring: 32 slots through which a frontend sends requests and its backend responses, in any order.
 *
 * Each side keeps its own indexes to itself and never reads them back from the page. A slot and an index of the peer's are copied once and
 * then judged. There is no I/O: who must be notified is returned, and who wants to sleep asks first whether it may.
 */

#include <stdbool.h>
#include <stdint.h>

#include "layout.h"

enum command_ring_outcome {             /* positive results */
        COMMAND_RING_EMPTY = 1,         /* there is nothing to take */
};

struct command_ring_back {
        struct pvcalls_command_page *page;
        uint32_t req_cons;              /* requests taken */
        uint32_t rsp_prod;              /* responses put */
};

struct command_ring_front {
        struct pvcalls_command_page *page;
        uint32_t req_prod;              /* requests put */
        uint32_t rsp_cons;              /* responses taken */
};

/* Attaches to a page that the frontend has just initialised. */
void command_ring_back_init(struct command_ring_back *ring, struct pvcalls_command_page *page);

/* Returns 0 and a copy of the next request, COMMAND_RING_EMPTY, or -EPROTO: the frontend claims more requests than there are slots. */
int command_ring_back_take(struct command_ring_back *ring, struct pvcalls_request *ret_request);

/* Asks to be notified of the next request. Returns whether there is one already: then it must be taken first. */
bool command_ring_back_sleep(struct command_ring_back *ring);

/* Answers one of the requests that were taken. Returns whether the frontend must be notified. */
bool command_ring_back_put(struct command_ring_back *ring, const struct pvcalls_response *response);

/* Requests that were taken and are not answered. At most PVCALLS_SLOTS, whatever the frontend does. */
static inline uint32_t command_ring_back_open(const struct command_ring_back *ring) {
        return ring->req_cons - ring->rsp_prod;
}

/* Makes a page a ring, before anybody else knows of it. */
void command_ring_front_init(struct command_ring_front *ring, struct pvcalls_command_page *page);

/* Requests that can be put. */
static inline uint32_t command_ring_front_free(const struct command_ring_front *ring) {
        return PVCALLS_SLOTS - (ring->req_prod - ring->rsp_cons);
}

/* Sends a request. Returns 0 and whether the backend must be notified, or -ENOBUFS: none is free. */
int command_ring_front_put(struct command_ring_front *ring, const struct pvcalls_request *request, bool *ret_notify);

/* Returns 0 and a copy of the next response, COMMAND_RING_EMPTY, or -EPROTO: the backend claims more responses than there were requests. */
int command_ring_front_take(struct command_ring_front *ring, struct pvcalls_response *ret_response);

/* As command_ring_back_sleep(), for responses. */
bool command_ring_front_sleep(struct command_ring_front *ring);
