/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as D-Bus marshals them, read one after the other. For the other files of this directory. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "names.h"

struct value_cursor {
        const uint8_t *p;       /* where alignment is counted from */
        size_t n;
        size_t at;
        bool big_endian;
        uint32_t n_fds;         /* handles are less than this */
        bool skip;              /* only find where values end: strings and padding are not looked at, arrays passed over as a whole */
        size_t n_values_max;    /* values still to be read or skipped before giving up */
};

/*
 * Reads the values of the complete types from a signature's byte from to its byte end. Returns 0 and has the cursor after them; or a fault
 * (message.h), MESSAGE_TOO_LARGE for more than n_values_max values.
 */
int value_walk(struct value_cursor *cursor, const char *types, const struct signature *signature, size_t from, size_t end);

/* Reads a value of a type with its alignment. Each returns 0 or a fault. */
int value_u32(struct value_cursor *cursor, uint32_t *ret_value);
int value_u64(struct value_cursor *cursor, uint64_t *ret_value);
int value_string(struct value_cursor *cursor, const char **ret_string, size_t *ret_n); /* of s or o: not checked beyond its end */
int value_signature(struct value_cursor *cursor, const char **ret_signature, struct signature *ret_read);
int value_align(struct value_cursor *cursor, size_t alignment);

/* What a type is aligned to; 0 for what is no type code. */
size_t value_alignment(char type);

static inline size_t align_up(size_t at, size_t alignment) {
        return (at + alignment - 1) & ~(alignment - 1);
}

static inline uint32_t load_u32(const void *p, bool big_endian) {
        uint32_t value;

        memcpy(&value, p, sizeof value);
        return big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? value : __builtin_bswap32(value);
}

static inline uint64_t load_u64(const void *p, bool big_endian) {
        uint64_t value;

        memcpy(&value, p, sizeof value);
        return big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) ? value : __builtin_bswap64(value);
}
