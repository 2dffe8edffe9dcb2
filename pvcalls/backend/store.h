/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The device's nodes in the store: what is read of the frontend's side, and what this side writes.
 *
 * Calls wait for xenstored, which answers in some ten microseconds and which no guest can stop. They are made only when a watch has
 * fired or a state changes, never for data.
 */

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>

#include "guest.h"
#include "handshake.h"

struct store {
        struct xs_handle *xs;
        uint32_t domid;                 /* the frontend's */
        char *backend;                  /* the device's directory here, relative to this domain's home: backend/pvcalls/DOMID/0 */
        char *frontend;                 /* the frontend's */
};

/* Connects, finds the frontend and sets the watches. -ENOENT: no toolstack has made the device. -EBADMSG: its nodes contradict it. */
int store_open(struct store *store, uint32_t domid, uint32_t device);
void store_close(struct store *store);

/* To be polled; then store_drain() takes what has come, however much. It all means the same: look again. */
int store_fd(const struct store *store);
void store_drain(struct store *store);

enum xenbus_state store_own_state(const struct store *store);

/* Fills in what the store tells: the frontend's state, whether there is a frontend, whether the device is wanted. */
void store_look(const struct store *store, struct handshake_view *view);

/* Writes the nodes that the frontend reads in InitWait. */
int store_publish(const struct store *store, uint32_t max_page_order);
int store_set_state(const struct store *store, enum xenbus_state state);

/* Writes why the device failed, where Linux's backends do: error/backend/... */
void store_set_error(const struct store *store, const char *reason);

/* What the frontend offers. -EBADMSG and what is wrong with it, as far as the store shows that. */
int store_read_offer(const struct store *store, struct guest_offer *ret_offer, const char **ret_reason);
