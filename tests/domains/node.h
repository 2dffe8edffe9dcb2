/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A store node that another domain will write: how the programs of a test meet.
 *
 * All programs of a test start at the same time in their domains, and nothing but Xen joins them. Whoever depends on another
 * one waits for a node of its: with a watch, so that there is neither a sleep nor a race.
 */

#include <xenstore.h>

/* Blocks until the node at PATH can be read and, where VALUE is not NULL, holds VALUE. Only a failing store ends it early. */
int node_await(struct xs_handle *store, const char *path, const char *value);
