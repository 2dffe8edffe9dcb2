/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bodies of D-Bus messages: whether one is what its signature says, the strings that match rules look at, and small ones to be read or
 * made.
 *
 * A broker disconnects who sends an invalid body, so one that comes from another domain must be checked before it goes onto a bus. One that
 * comes from a bus need not be: the readers below stay within the body whatever is in it.
 */

#include <stddef.h>
#include <stdint.h>

#include "message.h"

#define BODY_DEPTH_MAX 64u      /* containers within each other, those in variants included: D-Bus Specification, "Valid Signatures" */
#define BODY_ARRAY_MAX (UINT32_C(1) << 26)

/*
 * Checks a body against its signature, and that each handle in it (type h) is less than n_fds. Returns 0 or a fault. Time is linear in the
 * body's length; nothing is allocated and nothing recurs, whatever is nested.
 */
int message_check_body(const struct message *message);

#define MESSAGE_ARGS_MAX 64u    /* match rules look at arg0 to arg63 */

struct message_arg {
        char type;              /* of this argument, if it is s, o or g; 0 for anything else */
        const char *string;     /* in the body, with a NUL after it; NULL if type is 0 */
};

/*
 * Finds the strings among the first n_max arguments. Arguments behind more than 4,096 values (a large array is one value if its elements
 * have a fixed length, or are skipped as a whole) are not found. Returns how many there are, up to n_max; in a body that is not what
 * its signature says, those before the mistake.
 */
size_t message_args(const struct message *message, struct message_arg *ret_args, size_t n_max);

/*
 * Reads arguments of the given types, each of s, o, g (into a const char ** that points into the body), u (uint32_t *), b (bool *), t
 * (uint64_t *) and, as two characters, as (struct message_strings *). The signature must begin with them; there may be more. Returns 0, or
 * -EBADMSG.
 */
int message_read(const struct message *message, const char *types, ...);

/* An array of strings that was read; it is read on with message_strings_next(). */
struct message_strings {
        const uint8_t *p, *end, *body;
        bool big_endian;
};

/* Returns the next string, or NULL if there are no more. */
const char *message_strings_next(struct message_strings *strings);

/*
 * Makes a body of the given types, each of s, o, g (const char *), u (uint32_t), b (int), t (uint64_t) and, as two characters, as
 * (const char *const *, with NULL at its end); in the machine's byte order. Sets signature, body, n_body and big_endian of the message;
 * signature is types itself. The body is allocated, and freed with free(); it is NULL if types is "". Strings must be valid. Returns 0,
 * -ENOMEM or -EMSGSIZE.
 */
int message_make_body(struct message *message, uint8_t **ret_body, const char *types, ...);

/*
 * Makes an error as an answer to a call: with a sentence for people, in the machine's byte order. sender and destination stay NULL for the
 * caller to set before it is written; serial too. text belongs to the caller; the body is allocated, as message_make_body() does. -EMSGSIZE
 * if text is longer than a message.
 */
int message_make_error(const struct message *call, const char *error_name, const char *text, struct message *ret_error, uint8_t **ret_body);
