/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Loop devices (xen-block.h) when the service moves: they stay with the kernel of the domain where they were attached, and the keeper there (keeper.h) does with
 * them what the service asks for. In the keeper each is a server without a process, and so is, where the service is then, each that a keeper has.
 */

#include <stdbool.h>

#include "server-private.h"

/* Whether there are some here, of which no other process is the keeper; writes down that a keeper has them, "": none. Within a transaction. */
bool devices_are_here(const struct storage *storage);
int devices_keep(struct storage *storage, const char *keeper);

/* The service is another process's: they are the keeper's. */
void devices_leave(struct storage *storage);

bool server_is_device(const struct server *server);

/* In the keeper. Has it written out and taken away; or only written out; who waits is told. */
void device_end(struct server *server);
void device_sync(struct server *server);
void device_tell_size(struct server *server);
