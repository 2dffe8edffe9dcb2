/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Whether a body is what its signature says. */

#include "body.h"
#include "names.h"
#include "value.h"

int message_check_body(const struct message *message) {
        const char *types = message->signature ?: "";
        struct value_cursor cursor = {
                .p = message->body,
                .n = message->n_body,
                .big_endian = message->big_endian,
                .n_fds = message->n_fds,
                .n_values_max = SIZE_MAX,
        };
        struct signature signature;
        int r;

        r = signature_read(types, strlen(types), &signature);
        if (r != 0)
                return r;
        r = value_walk(&cursor, types, &signature, 0, signature.n);
        if (r != 0)
                return r;
        return cursor.at == cursor.n ? 0 : MESSAGE_BODY_MISMATCH;
}
