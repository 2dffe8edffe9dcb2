/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Small bodies, of messages that are made here. */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "body.h"
#include "header.h"

struct growing {
        uint8_t *p;             /* NULL while bytes are only counted */
        size_t n;
};

static void put(struct growing *body, const void *data, size_t n, size_t alignment) {
        size_t at = align_up(body->n, alignment);

        if (body->p) {
                memset(body->p + body->n, 0, at - body->n);
                memcpy(body->p + at, data, n);
        }
        body->n = at + n;
}

static void put_u32(struct growing *body, uint32_t value) {
        put(body, &value, sizeof value, 4);
}

static void put_string(struct growing *body, const char *text) {
        size_t n = strlen(text);

        put_u32(body, n);
        put(body, text, n + 1, 1);
}

static void put_signature(struct growing *body, const char *text) {
        uint8_t n = strlen(text);

        put(body, &n, 1, 1);
        put(body, text, n + 1u, 1);
}

static void put_strings(struct growing *body, const char *const *strings) {
        size_t at = align_up(body->n, 4), start;
        uint32_t n;

        put_u32(body, 0);
        start = body->n;
        for (; *strings; strings++)
                put_string(body, *strings);
        n = body->n - start;
        if (body->p)
                memcpy(body->p + at, &n, sizeof n);
}

static void put_all(struct growing *body, const char *types, va_list args) {
        for (; *types; types++)
                switch (*types) {
                case 's': case 'o':
                        put_string(body, va_arg(args, const char *));
                        break;
                case 'g':
                        put_signature(body, va_arg(args, const char *));
                        break;
                case 'u':
                        put_u32(body, va_arg(args, uint32_t));
                        break;
                case 'b':
                        put_u32(body, va_arg(args, int) != 0);
                        break;
                case 't': {
                        uint64_t value = va_arg(args, uint64_t);

                        put(body, &value, sizeof value, 8);
                        break;
                }
                case 'a':
                        put_strings(body, va_arg(args, const char *const *));
                        types++;
                        break;
                default:
                        assert(!"a type that body.h does not list");
                }
}

int message_make_body(struct message *message, uint8_t **ret_body, const char *types, ...) {
        struct growing counted = {}, body = {};
        va_list args;

        va_start(args, types);
        put_all(&counted, types, args);
        va_end(args);
        if (counted.n > MESSAGE_SIZE_MAX)
                return -EMSGSIZE;
        if (counted.n > 0) {
                body.p = malloc(counted.n);
                if (!body.p)
                        return -ENOMEM;
                va_start(args, types);
                put_all(&body, types, args);
                va_end(args);
        }
        message->big_endian = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
        message->signature = *types ? types : NULL;
        message->body = body.p;
        message->n_body = body.n;
        *ret_body = body.p;
        return 0;
}

int message_make_error(const struct message *call, const char *error_name, const char *text, struct message *ret_error,
                       uint8_t **ret_body) {
        struct message error = {
                .type = MESSAGE_ERROR,
                .flags = MESSAGE_NO_REPLY_EXPECTED,     /* as libdbus and sd-bus have it: nothing is answered to an answer */
                .error_name = error_name,
                .reply_serial = call->serial,
        };
        int r;

        r = message_make_body(&error, ret_body, "s", text);
        if (r == 0)
                *ret_error = error;
        return r;
}
