/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads a monitor: the first byte says in pieces of which size the rest comes. Invariants: what is yielded has the shape that
 * its kind has, nothing follows a violation, and no more than a message and a piece is kept.
 */

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "qmp-message.h"

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct qmp_message *message) {
        demand(message->root);
        switch (message->kind) {
        case QMP_GREETING:
                demand(json_object_is_type(message->value, json_type_object));
                break;
        case QMP_RETURN:
                demand(message->id > 0);
                break;
        case QMP_ERROR:
                demand(message->id > 0 && message->text);
                break;
        case QMP_EVENT:
                demand(message->name && (!message->value || json_object_is_type(message->value, json_type_object)));
                break;
        default:
                abort();
        }
}

/* Returns whether more may come. */
static int take_all(struct qmp_reader *reader) {
        struct qmp_message message;
        int r;

        while ((r = qmp_reader_next(reader, &message)) == 0) {
                check(&message);
                json_object_put(message.root);
        }
        if (r == QMP_VIOLATION)
                demand(qmp_reader_next(reader, &message) == QMP_VIOLATION);
        return r == QMP_MORE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t piece = size > 0 ? data[0] + 1u : 1;
        struct qmp_reader *reader;

        demand(qmp_reader_new(&reader) == 0);
        for (size_t i = 1; i < size;) {
                char *room;
                size_t n;

                demand(qmp_reader_buffer(reader, &room, &n) == 0 && n > 0);
                if (n > piece)
                        n = piece;
                if (n > size - i)
                        n = size - i;
                memcpy(room, data + i, n);
                qmp_reader_commit(reader, n);
                i += n;
                if (!take_all(reader))
                        break;
        }
        qmp_reader_free(reader);
        return 0;
}
