/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Nodes of xenstore that are watched, from the event loop.
 *
 * Calls wait for xenstored. They are made when a domain comes or goes or a watch has fired, never for data.
 */

#include <systemd/sd-event.h>

struct store_watch;
struct store_node;

typedef void (*store_on_change_t)(void *userdata);

int store_watch_new(struct store_watch **ret_watch, sd_event *event);
struct store_watch *store_watch_free(struct store_watch *watch);

/* The node's text, for free(); NULL if it cannot be read. */
char *store_watch_read(struct store_watch *watch, const char *path);

/* Something of the node or below it changed; also once at first. To be freed before the watch. */
int store_node_new(struct store_node **ret_node, struct store_watch *watch, const char *path, store_on_change_t on_change, void *userdata);
struct store_node *store_node_free(struct store_node *node);
