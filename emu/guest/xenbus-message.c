/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xenbus-message.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

_Static_assert(sizeof(struct xsd_sockmsg) == 16, "the header of xs_wire.h");
_Static_assert(offsetof(struct xenbus_message, body) == sizeof(struct xsd_sockmsg), "header and body are one run of bytes");

static size_t message_size(const struct xenbus_message *message) {
        if (message->n < sizeof message->header)
                return sizeof message->header;
        return sizeof message->header + message->header.len;
}

void xenbus_message_room(struct xenbus_message *message, void **ret_data, size_t *ret_size) {
        *ret_data = (uint8_t *) message + message->n;
        *ret_size = message_size(message) - message->n;
}

int xenbus_message_grow(struct xenbus_message *message, size_t n) {
        assert(n <= message_size(message) - message->n);
        message->n += n;
        if (message->n == sizeof message->header && message->header.len > XENSTORE_PAYLOAD_MAX)
                return -EMSGSIZE;
        return 0;
}

bool xenbus_message_is_complete(const struct xenbus_message *message) {
        return message->n >= sizeof message->header && message->n == message_size(message);
}

void xenbus_message_clear(struct xenbus_message *message) {
        message->n = 0;
}

int xenbus_message_strings(const struct xenbus_message *message, const char **ret_first, const char **ret_second) {
        const char *first = (const char *) message->body, *end = first + message->header.len, *second, *last;

        last = memchr(first, 0, end - first);
        if (!last)
                return -EBADMSG;
        second = last + 1;
        last = memchr(second, 0, end - second);
        if (!last)
                return -EBADMSG;
        *ret_first = first;
        *ret_second = second;
        return last + 1 - first;
}
