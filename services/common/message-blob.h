/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Message blobs: what a D-Bus message holds, as bytes for a database, and back.
 *
 * sd-bus gives no access to a message's marshalled form. The form here is private to one machine and one service: each value is its
 * type code and the value in native byte order, a container its type code, its contents' signature, its values and a 0.
 * Descriptors cannot be kept: -EOPNOTSUPP. Bytes that are no such form are refused with -EBADMSG.
 */

#include <stddef.h>

#include <systemd/sd-bus.h>

#define MESSAGE_BLOB_DEPTH_MAX 64u      /* D-Bus allows 32 arrays and 32 structures within each other */

/* All of a sealed message. The bytes belong to the caller. */
int message_blob_write(sd_bus_message *message, void **ret_data, size_t *ret_size);

/* Appends to a message. */
int message_blob_read(sd_bus_message *message, const void *data, size_t size);
