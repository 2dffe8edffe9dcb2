/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * QMP messages: what QEMU says on its monitor, one JSON object a line (QEMU, docs/interop/qmp-spec.txt, 2.2 to 2.5).
 *
 * QEMU is not trusted: a guest may have taken it over. The reader takes bytes in whatever pieces they come and yields whole messages
 * that have the shape of one; a line that is too long, is no JSON, is nested too deeply or says something else is a violation, and the
 * end of the connection. It does no I/O.
 */

#include <stddef.h>
#include <stdint.h>

struct json_object;

#define QMP_MESSAGE_MAX (1024u * 1024)  /* bytes of a line; the longest answers that are asked for have some kilobytes */
#define QMP_DEPTH_MAX 32                /* of nesting; the events of block devices have 6 */

enum qmp_kind {
        QMP_GREETING = 1,               /* value: its "QMP" */
        QMP_RETURN,                     /* value: what was returned */
        QMP_ERROR,                      /* text: a sentence */
        QMP_EVENT,                      /* name, and value: its data, or NULL */
};

enum qmp_outcome {                      /* positive results of qmp_reader_next() */
        QMP_MORE = 1,                   /* feed more bytes */
        QMP_VIOLATION,                  /* that was no QMP: close the connection */
};

struct qmp_message {
        enum qmp_kind kind;
        uint64_t id;                    /* of QMP_RETURN and QMP_ERROR */
        const char *name, *text;
        struct json_object *value;      /* all three belong to the root */
        struct json_object *root;       /* the caller's: json_object_put() */
};

struct qmp_reader;

int qmp_reader_new(struct qmp_reader **ret_reader);
struct qmp_reader *qmp_reader_free(struct qmp_reader *reader);

/* Room for the next bytes, at least one, and how many came. -ENOMEM. Not after a violation. */
int qmp_reader_buffer(struct qmp_reader *reader, char **ret_data, size_t *ret_size);
void qmp_reader_commit(struct qmp_reader *reader, size_t n);

/* 0 and a message, QMP_MORE or QMP_VIOLATION. */
int qmp_reader_next(struct qmp_reader *reader, struct qmp_message *ret_message);
