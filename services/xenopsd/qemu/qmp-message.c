/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qmp-message.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#define BUFFER_FIRST 4096u

struct qmp_reader {
        struct json_tokener *tokener;
        char *data;
        size_t start, n, n_allocated;   /* bytes from start to n are not yet taken */
        size_t n_looked;                /* up to here, there is no end of a line */
        bool violated;
};

int qmp_reader_new(struct qmp_reader **ret_reader) {
        struct qmp_reader *reader = calloc(1, sizeof *reader);

        if (!reader)
                return -ENOMEM;
        reader->tokener = json_tokener_new_ex(QMP_DEPTH_MAX);
        if (!reader->tokener) {
                free(reader);
                return -ENOMEM;
        }
        json_tokener_set_flags(reader->tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
        *ret_reader = reader;
        return 0;
}

struct qmp_reader *qmp_reader_free(struct qmp_reader *reader) {
        if (!reader)
                return NULL;
        json_tokener_free(reader->tokener);
        free(reader->data);
        free(reader);
        return NULL;
}

int qmp_reader_buffer(struct qmp_reader *reader, char **ret_data, size_t *ret_size) {
        if (reader->start > 0) {
                memmove(reader->data, reader->data + reader->start, reader->n - reader->start);
                reader->n -= reader->start;
                reader->n_looked -= reader->start;
                reader->start = 0;
        }
        if (reader->n == reader->n_allocated) {         /* below QMP_MESSAGE_MAX: next() was asked, and found no violation */
                size_t size = reader->n_allocated > 0 ? 2 * reader->n_allocated : BUFFER_FIRST;
                char *data = realloc(reader->data, size);

                if (!data)
                        return -ENOMEM;
                reader->data = data;
                reader->n_allocated = size;
        }
        *ret_data = reader->data + reader->n;
        *ret_size = reader->n_allocated - reader->n;
        return 0;
}

void qmp_reader_commit(struct qmp_reader *reader, size_t n) {
        reader->n += n;
}

static struct json_object *member(struct json_object *object, const char *name, enum json_type type) {
        struct json_object *value;

        return json_object_object_get_ex(object, name, &value) && json_object_is_type(value, type) ? value : NULL;
}

/* Which request a response is for. They are numbered from 1. */
static bool take_id(struct json_object *root, uint64_t *ret_id) {
        struct json_object *id = member(root, "id", json_type_int);

        *ret_id = id ? json_object_get_uint64(id) : 0;
        return *ret_id > 0;
}

/* What a line says, if it says what QEMU may say. */
static bool understand(struct json_object *root, struct qmp_message *message) {
        struct json_object *value, *text;

        if (!json_object_is_type(root, json_type_object))
                return false;
        if ((value = member(root, "QMP", json_type_object))) {
                *message = (struct qmp_message) { .kind = QMP_GREETING, .value = value };
                return true;
        }
        if ((value = member(root, "event", json_type_string))) {
                *message = (struct qmp_message) { .kind = QMP_EVENT, .name = json_object_get_string(value),
                                                  .value = member(root, "data", json_type_object) };
                return strlen(message->name) == (size_t) json_object_get_string_len(value);
        }
        if ((value = member(root, "error", json_type_object))) {
                text = member(value, "desc", json_type_string);
                *message = (struct qmp_message) { .kind = QMP_ERROR, .text = text ? json_object_get_string(text) : "" };
                return text && take_id(root, &message->id);
        }
        if (!json_object_object_get_ex(root, "return", &value))
                return false;
        *message = (struct qmp_message) { .kind = QMP_RETURN, .value = value };
        return take_id(root, &message->id);
}

static int violation(struct qmp_reader *reader) {
        reader->violated = true;
        return QMP_VIOLATION;
}

static int parse_line(struct qmp_reader *reader, const char *untrusted, size_t n, struct qmp_message *ret_message) {
        struct json_object *root;
        struct qmp_message message;

        json_tokener_reset(reader->tokener);
        root = json_tokener_parse_ex(reader->tokener, untrusted, (int) n);      /* n is at most QMP_MESSAGE_MAX */
        if (!root || json_tokener_get_parse_end(reader->tokener) < n || !understand(root, &message)) {
                json_object_put(root);
                return violation(reader);
        }
        message.root = root;
        *ret_message = message;
        return 0;
}

int qmp_reader_next(struct qmp_reader *reader, struct qmp_message *ret_message) {
        if (reader->violated)
                return QMP_VIOLATION;
        for (;;) {
                char *line = reader->data ? reader->data + reader->start : NULL, *end;
                size_t n;

                end = line ? memchr(reader->data + reader->n_looked, '\n', reader->n - reader->n_looked) : NULL;
                if (!end) {
                        reader->n_looked = reader->n;
                        return reader->n - reader->start >= QMP_MESSAGE_MAX ? violation(reader) : QMP_MORE;
                }
                n = (size_t) (end - line);
                if (n >= QMP_MESSAGE_MAX)
                        return violation(reader);
                reader->start += n + 1;
                reader->n_looked = reader->start;
                if (n > 0 && line[n - 1] == '\r')
                        n--;
                if (n > 0)
                        return parse_line(reader, line, n, ret_message);
        }
}
