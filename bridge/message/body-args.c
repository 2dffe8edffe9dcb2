/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Arguments of a body: those that match rules look at, and those of small messages. */

#include <errno.h>
#include <stdarg.h>

#include "body.h"
#include "names.h"
#include "value.h"

#define VALUES_MAX 4096u        /* as body.h says */

/* Begins at a body's first argument. Returns 0 or a fault. */
static int begin(const struct message *message, struct value_cursor *ret_cursor, struct signature *ret_signature) {
        const char *types = message->signature ?: "";

        *ret_cursor = (struct value_cursor) {
                .p = message->body,
                .n = message->n_body,
                .big_endian = message->big_endian,
                .skip = true,
                .n_values_max = VALUES_MAX,
        };
        return signature_read(types, strlen(types), ret_signature);
}

static int read_arg(struct value_cursor *cursor, const char *types, const struct signature *signature, size_t from,
                    struct message_arg *ret_arg) {
        struct signature value;
        const char *text;
        size_t n;
        int r;

        switch (types[from]) {
        case 's': case 'o':
                r = value_string(cursor, &text, &n);
                break;
        case 'g':
                r = value_signature(cursor, &text, &value);
                break;
        default:
                *ret_arg = (struct message_arg) {};
                return value_walk(cursor, types, signature, from, signature->end[from]);
        }
        if (r == 0)
                *ret_arg = (struct message_arg) { .type = types[from], .string = text };
        return r;
}

size_t message_args(const struct message *message, struct message_arg *ret_args, size_t n_max) {
        struct value_cursor cursor;
        struct signature signature;
        size_t n = 0;

        if (begin(message, &cursor, &signature) != 0)
                return 0;
        for (size_t at = 0; at < signature.n && n < n_max; at = signature.end[at], n++)
                if (read_arg(&cursor, message->signature, &signature, at, &ret_args[n]) != 0)
                        break;
        return n;
}

static int read_strings(struct value_cursor *cursor, struct message_strings *ret_strings) {
        uint32_t n;
        int r;

        r = value_u32(cursor, &n);
        if (r != 0)
                return r;
        if (n > cursor->n - cursor->at)
                return MESSAGE_TRUNCATED;
        *ret_strings = (struct message_strings) {
                .p = cursor->p + cursor->at,
                .end = cursor->p + cursor->at + n,
                .body = cursor->p,
                .big_endian = cursor->big_endian,
        };
        cursor->at += n;
        return 0;
}

const char *message_strings_next(struct message_strings *strings) {
        struct value_cursor cursor = {
                .p = strings->body,
                .n = strings->end - strings->body,
                .at = strings->p - strings->body,
                .big_endian = strings->big_endian,
                .skip = true,
        };
        const char *string;
        size_t n;

        if (cursor.at == cursor.n)
                return NULL;
        if (value_string(&cursor, &string, &n) != 0) {
                strings->p = strings->end;
                return NULL;
        }
        strings->p = strings->body + cursor.at;
        return string;
}

/* Reads the argument of one type into what the next of args points to. Returns 0 or a fault. */
static int read_into(struct value_cursor *cursor, char type, va_list *args) {
        struct signature value;
        uint32_t number;
        size_t n;
        int r;

        switch (type) {
        case 's': case 'o':
                return value_string(cursor, va_arg(*args, const char **), &n);
        case 'g':
                return value_signature(cursor, va_arg(*args, const char **), &value);
        case 'u':
                return value_u32(cursor, va_arg(*args, uint32_t *));
        case 't':
                return value_u64(cursor, va_arg(*args, uint64_t *));
        case 'b':
                r = value_u32(cursor, &number);
                if (r == 0)
                        *va_arg(*args, bool *) = number != 0;
                return r;
        case 'a':
                return read_strings(cursor, va_arg(*args, struct message_strings *));
        default:
                __builtin_unreachable();        /* body.h lists the types */
        }
}

int message_read(const struct message *message, const char *types, ...) {
        struct value_cursor cursor;
        struct signature signature;
        size_t n_types = strlen(types);
        va_list args;
        int r = 0;

        if (begin(message, &cursor, &signature) != 0 || n_types > signature.n || memcmp(message->signature ?: "", types, n_types) != 0)
                return -EBADMSG;
        va_start(args, types);
        for (size_t at = 0; at < n_types && r == 0; at = signature.end[at])
                r = read_into(&cursor, types[at], &args);
        va_end(args);
        return r == 0 ? 0 : -EBADMSG;
}
