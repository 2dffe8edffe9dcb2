/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "message-blob.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

union basic {
        uint8_t y;
        int b;                          /* as sd-bus has booleans */
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
        const char *s;
};

/* The size of a type in the union, or 0 if it is a string or no basic type. */
static size_t fixed_size(char type) {
        switch (type) {
        case 'y':
                return sizeof(uint8_t);
        case 'n':
        case 'q':
                return sizeof(uint16_t);
        case 'b':
        case 'i':
        case 'u':
                return sizeof(uint32_t);
        case 'x':
        case 't':
        case 'd':
                return sizeof(uint64_t);
        default:
                return 0;
        }
}

static bool is_string(char type) {
        return type == 's' || type == 'o' || type == 'g';
}

static bool is_container(char type) {
        return type == 'a' || type == 'r' || type == 'e' || type == 'v';
}

static void write_string(FILE *f, const char *s) {
        uint32_t n = (uint32_t) strlen(s);

        fwrite(&n, sizeof n, 1, f);
        fwrite(s, 1, n + 1, f);         /* with its end, so that it can be used where it is */
}

static int write_basic(FILE *f, sd_bus_message *message, char type) {
        union basic value;
        int r;

        if (!is_string(type) && fixed_size(type) == 0)
                return -EOPNOTSUPP;     /* a descriptor */
        r = sd_bus_message_read_basic(message, type, &value);
        if (r < 0)
                return r;
        fputc(type, f);
        if (is_string(type))
                write_string(f, value.s);
        else
                fwrite(&value, fixed_size(type), 1, f);
        return 0;
}

static int write_values(FILE *f, sd_bus_message *message, unsigned depth) {
        const char *contents;
        char type;
        int r;

        if (depth > MESSAGE_BLOB_DEPTH_MAX)
                return -EBADMSG;
        while ((r = sd_bus_message_peek_type(message, &type, &contents)) > 0) {
                if (!is_container(type)) {
                        r = write_basic(f, message, type);
                        if (r < 0)
                                return r;
                        continue;
                }
                fputc(type, f);
                write_string(f, contents);
                r = sd_bus_message_enter_container(message, type, contents);
                if (r < 0)
                        return r;
                r = write_values(f, message, depth + 1);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        fputc(0, f);
        return r;
}

int message_blob_write(sd_bus_message *message, void **ret_data, size_t *ret_size) {
        char *data = NULL;
        size_t size = 0;
        FILE *f;
        int r;

        r = sd_bus_message_rewind(message, true);
        if (r < 0)
                return r;
        f = open_memstream(&data, &size);
        if (!f)
                return -ENOMEM;
        r = write_values(f, message, 0);
        if (ferror(f))
                r = -ENOMEM;
        if (fclose(f) != 0 && r >= 0)
                r = -ENOMEM;
        if (r < 0) {
                free(data);
                return r;
        }
        *ret_data = data;
        *ret_size = size;
        return 0;
}

struct bytes {
        const char *p;
        size_t n;
};

static const char *take(struct bytes *bytes, size_t n) {
        const char *p = bytes->p;

        if (n > bytes->n)
                return NULL;
        bytes->p += n;
        bytes->n -= n;
        return p;
}

static const char *take_string(struct bytes *bytes) {
        const char *p = take(bytes, sizeof(uint32_t)), *s;
        uint32_t n;

        if (!p)
                return NULL;
        memcpy(&n, p, sizeof n);
        s = take(bytes, (size_t) n + 1);
        return s && s[n] == '\0' && strlen(s) == n ? s : NULL;
}

static int read_basic(sd_bus_message *message, char type, struct bytes *bytes) {
        union basic value;
        const char *p;

        if (is_string(type)) {
                p = take_string(bytes);
                if (!p)
                        return -EBADMSG;
                return sd_bus_message_append_basic(message, type, p);
        }
        if (fixed_size(type) == 0)
                return -EBADMSG;
        p = take(bytes, fixed_size(type));
        if (!p)
                return -EBADMSG;
        memcpy(&value, p, fixed_size(type));
        return sd_bus_message_append_basic(message, type, &value);
}

static int read_values(sd_bus_message *message, struct bytes *bytes, unsigned depth) {
        const char *type, *contents;
        int r;

        if (depth > MESSAGE_BLOB_DEPTH_MAX)
                return -EBADMSG;
        while ((type = take(bytes, 1)) && *type != 0) {
                if (!is_container(*type)) {
                        r = read_basic(message, *type, bytes);
                        if (r < 0)
                                return r;
                        continue;
                }
                contents = take_string(bytes);
                if (!contents)
                        return -EBADMSG;
                r = sd_bus_message_open_container(message, *type, contents);
                if (r < 0)
                        return r;
                r = read_values(message, bytes, depth + 1);
                if (r < 0)
                        return r;
                r = sd_bus_message_close_container(message);
                if (r < 0)
                        return r;
        }
        return type ? 0 : -EBADMSG;
}

int message_blob_read(sd_bus_message *message, const void *data, size_t size) {
        struct bytes bytes = { data, size };
        int r;

        r = read_values(message, &bytes, 0);
        if (r < 0)
                return r == -ENOMEM ? r : -EBADMSG;     /* sd-bus says EINVAL, ENXIO and more of what does not fit */
        return bytes.n == 0 ? 0 : -EBADMSG;
}
