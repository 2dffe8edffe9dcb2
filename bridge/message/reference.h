/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What libdbus says to a message, beside what is said here: for the test and the fuzz target. */

#include <assert.h>
#include <dbus/dbus.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "message.h"

static inline int reference_refuses(const void *data, size_t n) {
        DBusMessage *message;

        message = dbus_message_demarshal(data, (int) n, NULL);
        if (!message)
                return 1;
        dbus_message_unref(message);
        return 0;
}

/* Whether a fault is one of those that libdbus does not know: message.h lists them. */
static inline int reference_is_more_lenient(int fault) {
        return fault == MESSAGE_FIELDS_TOO_LARGE || fault == MESSAGE_TOO_DEEP || fault == MESSAGE_BAD_HANDLE ||
               fault == MESSAGE_BAD_DESTINATION || fault == MESSAGE_BAD_SENDER;
}

/* Checks a message here and there, and that both agree; n is at least MESSAGE_FIXED_SIZE. Returns 0 or the fault. */
static inline int reference_check(const void *data, size_t n) {
        struct message message;
        int r;

        r = message_parse(data, n, &message);
        if (r == 0)
                r = message_check_body(&message);
        if (r == MESSAGE_TRUNCATED || r == MESSAGE_TRAILING)
                return r;       /* libdbus looks at the first message of what it gets */
        if (r != 0) {
                assert(reference_is_more_lenient(r) || reference_refuses(data, n));
                return r;
        }
        if (message.n_fds == 0)         /* it wants the descriptors, too */
                assert(!reference_refuses(data, n));
        return 0;
}
