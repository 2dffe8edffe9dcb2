/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "uuid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define UUID_TEXT_LENGTH (UUID_TEXT_SIZE - 1)

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int uuid_parse_prefix(const char *text, struct uuid *ret_uuid) {
        struct uuid uuid = {};
        size_t n_digits = 0;

        for (size_t i = 0; i < UUID_TEXT_LENGTH; i++) {
                int digit = hex_digit(text[i]);

                if (i == 8 || i == 13 || i == 18 || i == 23) {
                        if (text[i] != '-')
                                return -EINVAL;
                        continue;
                }
                if (digit < 0)          /* also at the end of a shorter text */
                        return -EINVAL;
                uuid.bytes[n_digits / 2] = (uint8_t) (uuid.bytes[n_digits / 2] << 4 | digit);
                n_digits++;
        }
        *ret_uuid = uuid;
        return 0;
}

int uuid_parse(const char *text, struct uuid *ret_uuid) {
        return strlen(text) == UUID_TEXT_LENGTH ? uuid_parse_prefix(text, ret_uuid) : -EINVAL;
}

char *uuid_format(const struct uuid *uuid, char *text) {
        static const char digits[] = "0123456789abcdef";
        char *p = text;

        for (size_t i = 0; i < UUID_SIZE; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                *p++ = digits[uuid->bytes[i] >> 4];
                *p++ = digits[uuid->bytes[i] & 0xf];
        }
        *p = '\0';
        return text;
}

int uuid_generate(struct uuid *ret_uuid) {
        struct uuid uuid;

        if (getrandom(uuid.bytes, sizeof uuid.bytes, 0) != (ssize_t) sizeof uuid.bytes)
                return -errno;
        uuid.bytes[6] = (uint8_t) (0x40 | (uuid.bytes[6] & 0x0f));      /* RFC 4122, 4.4 */
        uuid.bytes[8] = (uint8_t) (0x80 | (uuid.bytes[8] & 0x3f));
        *ret_uuid = uuid;
        return 0;
}

bool uuid_is_null(const struct uuid *uuid) {
        return uuid_compare(uuid, &(const struct uuid) {}) == 0;
}

int uuid_compare(const struct uuid *a, const struct uuid *b) {
        return memcmp(a->bytes, b->bytes, UUID_SIZE);
}
