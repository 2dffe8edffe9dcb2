/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Quantities: sizes, durations and points in time, as people write and read them.
 *
 * Parsers return false, with an error that quotes the text, for what they do not understand or what does not fit. What is formatted is to
 * be freed with g_free().
 */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Bytes: 512, 512M, 1.5GiB. K, M, G, T, P and E are powers of 1024, with or without iB. */
bool quantity_parse_size(const char *text, uint64_t *ret_bytes, GError **error);

/* Milliseconds: 500ms, 30s, 5m, 1h; a number alone is in seconds. */
bool quantity_parse_duration(const char *text, uint64_t *ret_ms, GError **error);

bool quantity_parse_number(const char *text, uint64_t max, uint64_t *ret_number, GError **error);

char *quantity_format_size(uint64_t bytes);             /* 512 B, 1.5 GiB */
char *quantity_format_duration(uint64_t us);            /* 300 ms, 2.5 s, 5 min 2 s, 3 h 4 min, 2 d 3 h */
char *quantity_format_time(uint64_t us);                /* since 1970, in the local time zone: 2026-11-21 05:02:57; - for 0 */

/* What a number is, as far as its name in the contract tells. */
enum quantity_unit {
        QUANTITY_PLAIN,
        QUANTITY_SIZE,                  /* bytes */
        QUANTITY_DURATION_US,
        QUANTITY_DURATION_MS,
        QUANTITY_TIME_US,               /* since 1970 */
};

enum quantity_unit quantity_unit_of(const char *name);

/* In its unit, or as a plain number. */
char *quantity_format(enum quantity_unit unit, uint64_t number);
