/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * UUIDs, the names of disks and storage repositories, as 16 bytes and as text: 36 characters, lower-case, and no other form, so that a
 * thing has one name. Text that passes uuid_parse() can be a file's name.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UUID_SIZE 16u
#define UUID_TEXT_SIZE 37u              /* with the NUL */

struct uuid {
        uint8_t bytes[UUID_SIZE];
};

/* -EINVAL: the text is none. uuid_parse_prefix() passes over what follows the 36 characters. */
int uuid_parse(const char *text, struct uuid *ret_uuid);
int uuid_parse_prefix(const char *text, struct uuid *ret_uuid);

/* Returns text, which has room for UUID_TEXT_SIZE bytes. */
char *uuid_format(const struct uuid *uuid, char *text);

/* A new one, of version 4. */
int uuid_generate(struct uuid *ret_uuid);

bool uuid_is_null(const struct uuid *uuid);
int uuid_compare(const struct uuid *a, const struct uuid *b);
