/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "requests.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void queue_add(struct request_queue *queue, struct request *request) {
        request->next = NULL;
        *queue->end = request;
        queue->end = &request->next;
}

/* Takes the first that is the owner's; owner NULL: the first. */
static struct request *queue_take(struct request_queue *queue, const void *owner) {
        for (struct request **link = &queue->first; *link; link = &(*link)->next) {
                struct request *request = *link;

                if (owner && request->owner != owner)
                        continue;
                *link = request->next;
                if (queue->end == &request->next)
                        queue->end = link;
                return request;
        }
        return NULL;
}

void requests_init(struct requests *requests) {
        *requests = (struct requests) {};
        requests->releases.end = &requests->releases.first;
        requests->others.end = &requests->others.first;
}

struct request *request_new(uint32_t cmd, uint64_t id, void *owner) {
        struct request *request = calloc(1, sizeof *request);

        if (request) {
                request->wire.cmd = cmd;
                request->wire.u.id = id;
                request->owner = owner;
        }
        return request;
}

bool requests_may_accept(const struct requests *requests) {
        return requests->n_accepts < ACCEPTS_MAX;
}

void requests_queue(struct requests *requests, struct request *request) {
        if (request->wire.cmd == PVCALLS_ACCEPT)
                requests->n_accepts++;
        queue_add(request->wire.cmd == PVCALLS_RELEASE ? &requests->releases : &requests->others, request);
}

/* Puts one request; there is a slot for it. Returns whether the backend must be notified. */
static bool put(struct requests *requests, struct request *request) {
        uint32_t place = 0;
        bool notify = false;

        while (requests->flying[place])
                place++;
        requests->flying[place] = request;
        requests->n_flying++;
        request->wire.req_id = requests->next_number++ * PVCALLS_SLOTS + place;
        (void) command_ring_front_put(&requests->ring, &request->wire, &notify);
        return notify;
}

bool requests_put(struct requests *requests) {
        bool notify = false;

        while (requests->releases.first && requests->n_flying < PVCALLS_SLOTS)
                notify |= put(requests, queue_take(&requests->releases, NULL));
        while (requests->others.first && requests->n_flying < PVCALLS_SLOTS - RELEASE_SLOTS)
                notify |= put(requests, queue_take(&requests->others, NULL));
        return notify;
}

int requests_take(struct requests *requests, struct request **ret_request, int32_t *ret_result) {
        struct pvcalls_response untrusted;
        struct request *request;
        uint32_t place;
        int r;

        r = command_ring_front_take(&requests->ring, &untrusted);
        if (r != 0)
                return r;
        place = untrusted.req_id % PVCALLS_SLOTS;
        request = requests->flying[place];
        if (!request || request->wire.req_id != untrusted.req_id || request->wire.cmd != untrusted.cmd)
                return -EPROTO;
        requests->flying[place] = NULL;
        requests->n_flying--;
        requests->n_accepts -= request->wire.cmd == PVCALLS_ACCEPT;
        request->len = untrusted.len;
        memcpy(request->piece, untrusted.piece, sizeof request->piece);
        *ret_request = request;
        *ret_result = untrusted.ret;
        return 0;
}

struct request *requests_withdraw(struct requests *requests, const void *owner) {
        struct request *request = queue_take(&requests->others, owner);

        if (request)
                requests->n_accepts -= request->wire.cmd == PVCALLS_ACCEPT;
        return request;
}

unsigned requests_disown(struct requests *requests, const void *owner) {
        unsigned n = 0;

        for (uint32_t i = 0; i < PVCALLS_SLOTS; i++) {
                struct request *request = requests->flying[i];

                if (!request || request->owner != owner || request->wire.cmd != PVCALLS_ACCEPT)
                        continue;
                request->owner = NULL;
                n++;
        }
        return n;
}

struct request *requests_withdraw_any(struct requests *requests) {
        struct request *request = queue_take(&requests->releases, NULL) ?: queue_take(&requests->others, NULL);

        for (uint32_t i = 0; !request && i < PVCALLS_SLOTS; i++) {
                request = requests->flying[i];
                requests->flying[i] = NULL;
        }
        return request;
}
