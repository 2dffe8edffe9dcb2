/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Nodes of a device in the store, as both sides read and write them. Calls wait for xenstored. */

#include <stdint.h>

#include <xenstore.h>

#define NODES_PATH_MAX 256u             /* of a directory: with that, a path and what is below it fit */

/* A node's text, to be freed; NULL if it cannot be read. */
char *nodes_read(struct xs_handle *xs, const char *directory, const char *name);

int nodes_write(struct xs_handle *xs, xs_transaction_t transaction, const char *directory, const char *name, const char *text);
int nodes_watch(struct xs_handle *xs, const char *directory, const char *name);
int nodes_unwatch(struct xs_handle *xs, const char *directory, const char *name);

/* A number as nodes have it: decimal, at most 32 bits, nothing else. -EINVAL for all else, NULL included. */
int nodes_parse_number(const char *text, uint32_t *ret_number);

/* Takes the watches that have fired, however many: they all mean to look again. */
void nodes_drain(struct xs_handle *xs);
