/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the process of a link gives up, so that little is to be had by whoever of another domain finds a mistake in it.
 *
 * At its start: all capabilities but those to become somebody else, new privileges, core dumps. When there is a ring, before it reads a byte of it, and
 * after it has opened what only this domain's root may open: to be root, if it can, and the system calls that it has no use for.
 *
 * If it is root and the bus takes them, it becomes a user of that domain's own (domain-user.h), so
 * that the bus tells services of one domain's peers from another's and from root, and counts for each domain on its own: docs/bridge.md, "Users".
 */

#include <sys/types.h>

/* Which user this would be for a domain: 0 if it is to stay who it is, as it is not root, or the bus does not take that user. */
uid_t sandbox_user(unsigned domain, const char *bus_path);

/* The start. user is sandbox_user()'s. */
int sandbox_begin(uid_t user);

/* The rest. */
int sandbox_enter(uid_t user);
