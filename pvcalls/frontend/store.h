/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The device's nodes in the store: what the toolstack and the backend have written, and what this side writes.
 *
 * Calls wait for xenstored. They are made when a watch has fired or a state changes, never for data.
 */

#include <stdbool.h>
#include <stdint.h>

#include <xenstore.h>

#include "handshake.h"

struct store {
        struct xs_handle *xs;
        char *frontend;                 /* this side's directory, relative to the domain's home: device/pvcalls/0 */
        char *backend;                  /* the other side's; NULL: no toolstack has made the device */
        uint32_t backend_domid;
};

/* What a backend offers, checked. */
struct store_terms {
        uint32_t max_page_order;        /* 1 to PVCALLS_ORDER_MAX */
        bool suppress;                  /* notification suppression */
        bool names, shutdown, options, datagrams, ipv6, local;      /* the other extensions of docs/pvcalls-extensions.md */
};

int store_open(struct store *store, unsigned device);
void store_close(struct store *store);
int store_fd(const struct store *store);

/* Takes the watches that have fired, however many: they all mean to look again. */
void store_drain(struct store *store);

/* Reads where the backend is, which may have changed, and its state. */
void store_look(struct store *store, enum xenbus_state *ret_backend);

/* What the backend has published. -EPROTONOSUPPORT: nothing that this frontend could use. */
int store_read_terms(const struct store *store, struct store_terms *ret_terms);

int store_set_state(const struct store *store, enum xenbus_state state);
int store_write_number(const struct store *store, const char *node, uint32_t number);
