/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Headers and whole messages from views. */

#include <errno.h>
#include <stdlib.h>

#include "header.h"
#include "message.h"

/* Bytes that are written, or only counted when they do not fit. */
struct sink {
        uint8_t *p;
        size_t n;
        size_t at;
        bool big_endian;
};

static void put(struct sink *sink, const void *data, size_t n) {
        if (sink->at <= sink->n && n <= sink->n - sink->at)
                memcpy(sink->p + sink->at, data, n);
        sink->at += n;
}

static void put_u32(struct sink *sink, uint32_t value) {
        uint32_t wire = load_u32(&value, sink->big_endian);

        put(sink, &wire, sizeof wire);
}

static void put_padding(struct sink *sink, size_t alignment) {
        static const uint8_t zeros[8] = {};

        put(sink, zeros, align_up(sink->at, alignment) - sink->at);
}

/* A field's code and the type of its value; the value is to follow, and after these four bytes is aligned as it must be. */
static void put_field(struct sink *sink, enum header_field code, char type) {
        put_padding(sink, 8);
        put(sink, (uint8_t []) { code, 1, (uint8_t) type, 0 }, 4);
}

static void put_string_field(struct sink *sink, enum header_field code, char type, const char *text) {
        size_t n;

        if (!text)
                return;
        n = strlen(text);
        put_field(sink, code, type);
        put_u32(sink, n);
        put(sink, text, n + 1);
}

static void put_u32_field(struct sink *sink, enum header_field code, uint32_t value) {
        if (value == 0)
                return;
        put_field(sink, code, 'u');
        put_u32(sink, value);
}

static void put_signature_field(struct sink *sink, const char *signature) {
        uint8_t n;

        if (!signature || !*signature)
                return;
        n = strlen(signature);
        put_field(sink, HEADER_SIGNATURE, 'g');
        put(sink, &n, 1);
        put(sink, signature, n + 1u);
}

/* Copies those fields that are not known. Each begins at a multiple of 8 there and here, so what is aligned in it stays so. */
static void put_unknown_fields(struct sink *sink, const struct message *message) {
        struct value_cursor cursor = {
                .p = message->unknown,
                .n = message->n_unknown,
                .big_endian = message->big_endian,
                .skip = true,
                .n_values_max = SIZE_MAX,
        };

        while (cursor.at < cursor.n) {
                size_t start = align_up(cursor.at, 8);
                struct signature signature;
                const char *type;
                uint8_t code;

                if (header_begin_field(&cursor, &code, &type, &signature) != 0 ||
                    value_walk(&cursor, type, &signature, 0, signature.n) != 0)
                        return;         /* cannot be: it was read before */
                if (code < _HEADER_KNOWN_MAX)
                        continue;
                put_padding(sink, 8);
                put(sink, cursor.p + start, cursor.at - start);
        }
}

static void put_header(struct sink *sink, const struct message *message) {
        put(sink, (uint8_t []) { message->big_endian ? 'B' : 'l', message->type, message->flags, 1 }, 4);
        put_u32(sink, message->n_body);
        put_u32(sink, message->serial);
        put_u32(sink, 0);               /* the fields' length, which is put in at the end */

        put_string_field(sink, HEADER_PATH, 'o', message->path);
        put_string_field(sink, HEADER_INTERFACE, 's', message->interface);
        put_string_field(sink, HEADER_MEMBER, 's', message->member);
        put_string_field(sink, HEADER_ERROR_NAME, 's', message->error_name);
        put_u32_field(sink, HEADER_REPLY_SERIAL, message->reply_serial);
        put_string_field(sink, HEADER_DESTINATION, 's', message->destination);
        put_string_field(sink, HEADER_SENDER, 's', message->sender);
        put_signature_field(sink, message->signature);
        put_u32_field(sink, HEADER_UNIX_FDS, message->n_fds);
        if (message->unknown)
                put_unknown_fields(sink, message);
}

/* The header's length without its padding at the end. */
static size_t header_length(const struct message *message) {
        struct sink sink = { .big_endian = message->big_endian };

        put_header(&sink, message);
        return sink.at;
}

size_t message_header_size(const struct message *message) {
        return align_up(header_length(message), 8);
}

int message_write_header(const struct message *message, void *data, size_t n, size_t *ret_size) {
        struct sink sink = { .p = data, .n = n, .big_endian = message->big_endian };
        size_t length;

        put_header(&sink, message);
        length = sink.at;
        put_padding(&sink, 8);
        if (sink.at > n || sink.at > MESSAGE_HEADER_MAX || message->n_body > MESSAGE_SIZE_MAX - sink.at)
                return -EMSGSIZE;
        *ret_size = sink.at;
        sink.at = MESSAGE_FIXED_SIZE - sizeof(uint32_t);        /* how long it is, is known only now */
        put_u32(&sink, length - MESSAGE_FIXED_SIZE);
        return 0;
}

void header_free(void *p) {
        free(*(void **) p);
}

int message_write(const struct message *message, uint8_t **ret_data, size_t *ret_size) {
        AUTO_FREE uint8_t *data = NULL;
        size_t n_header = message_header_size(message), size;
        int r;

        if (n_header > MESSAGE_HEADER_MAX || message->n_body > MESSAGE_SIZE_MAX - n_header)
                return -EMSGSIZE;
        data = malloc(n_header + message->n_body);
        if (!data)
                return -ENOMEM;
        r = message_write_header(message, data, n_header, &size);
        if (r < 0)
                return r;
        if (message->n_body > 0)
                memcpy(data + size, message->body, message->n_body);
        *ret_data = data;
        *ret_size = size + message->n_body;
        data = NULL;
        return 0;
}
