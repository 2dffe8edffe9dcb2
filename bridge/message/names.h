/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What names look like: D-Bus Specification, "Valid Names", "Valid Object Paths", "Valid Signatures", and the strings of "Marshaling".
 *
 * Text is given with its length and needs no NUL after it; one within it makes it invalid.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAME_MAX_LENGTH 255u            /* of names and signatures; paths have no limit */
#define SIGNATURE_DEPTH_MAX 32u         /* arrays within each other, and likewise structs and dict entries, in one signature */

bool name_is_bus_name(const char *p, size_t n);         /* unique or well-known */
bool name_is_unique(const char *p, size_t n);           /* such as :1.5 */
bool name_is_well_known(const char *p, size_t n);
bool name_is_namespace(const char *p, size_t n);        /* a well-known name, or the first element of one: what arg0namespace can be */
bool name_is_interface(const char *p, size_t n);        /* or an error's name */
bool name_is_member(const char *p, size_t n);
bool name_is_path(const char *p, size_t n);

/* Whether path is the same as, or below, the path root. Both must be valid. */
bool name_path_is_below(const char *path, const char *root);

/* Whether name is the same as space, or space followed by a dot and more. */
bool name_is_in_namespace(const char *name, const char *space);

/* UTF-8 as D-Bus has it: no NUL, no surrogates, nothing above U+10FFFF, shortest forms. */
bool name_is_utf8(const char *p, size_t n);

/*
 * A signature that was read: for each byte of it, where the complete type that begins there ends. For bytes where none begins, the value
 * means nothing.
 */
struct signature {
        uint8_t n;
        uint8_t end[NAME_MAX_LENGTH];
};

/*
 * Reads a list of complete types. Returns 0, MESSAGE_BAD_SIGNATURE or MESSAGE_TOO_DEEP (message.h). Time is linear in n.
 */
int signature_read(const char *p, size_t n, struct signature *ret_signature);

/* Whether it is one complete type. */
bool signature_is_single(const struct signature *signature);
