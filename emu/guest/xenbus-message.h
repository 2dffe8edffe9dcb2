/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A message of the xenstore protocol (xen/io/xs_wire.h), put together from bytes that come in any pieces.
 *
 * It asks for exactly the bytes that it still lacks, first of the header and then of the body, so that whoever feeds it never holds
 * a byte of the next message. All zeroes is an empty message.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/io/xs_wire.h>

struct xenbus_message {
        struct xsd_sockmsg header;
        uint8_t body[XENSTORE_PAYLOAD_MAX];
        size_t n;                       /* bytes of header and body that are there; the length in the header is checked once it is */
};

/* Where the next bytes go and how many are lacking: 0 if the message is complete. */
void xenbus_message_room(struct xenbus_message *message, void **ret_data, size_t *ret_size);

/* n bytes were put there. Returns 0, or -EMSGSIZE if the body is to be longer than XENSTORE_PAYLOAD_MAX; then the message is useless. */
int xenbus_message_grow(struct xenbus_message *message, size_t n);

bool xenbus_message_is_complete(const struct xenbus_message *message);
void xenbus_message_clear(struct xenbus_message *message);

/* The first two strings of a complete message, each with its NUL inside the body. Returns how many bytes they take, or -EBADMSG. */
int xenbus_message_strings(const struct xenbus_message *message, const char **ret_first, const char **ret_second);
