/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What parsing and writing of headers share: the fields. For the other files of this directory. */

#include <stddef.h>
#include <stdint.h>

#include "message.h"
#include "value.h"

enum header_field {             /* D-Bus Specification, "Header Fields" */
        HEADER_PATH = 1,
        HEADER_INTERFACE = 2,
        HEADER_MEMBER = 3,
        HEADER_ERROR_NAME = 4,
        HEADER_REPLY_SERIAL = 5,
        HEADER_DESTINATION = 6,
        HEADER_SENDER = 7,
        HEADER_SIGNATURE = 8,
        HEADER_UNIX_FDS = 9,
        HEADER_CONTAINER_INSTANCE = 10, /* libdbus's dbus-protocol.h */
        _HEADER_KNOWN_MAX,
};

/*
 * Reads the beginning of a field: its code and the type of its value, which is to be read next. Returns 0 or a fault.
 */
int header_begin_field(struct value_cursor *cursor, uint8_t *ret_code, const char **ret_type, struct signature *ret_signature);

#define AUTO_FREE __attribute__((cleanup(header_free)))

void header_free(void *p);
