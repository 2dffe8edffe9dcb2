/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * States: all that a service knows, as a stream of bytes from one process of it to another.
 *
 *         magic "XCPSTATE"        8 bytes
 *         version                 u32: 1
 *         what the service is     u32 length, name; u32 version of its schema
 *         bus                     u32 length, id of the bus on which callers' names mean something
 *         parts                   u32 number, and for each: u32 length, name; u64 length, bytes
 *         checksum                u64, FNV-1a of all before it
 *
 * Little-endian. Parts are files of the state directory: databases, as SQLite's backup API makes them. The checksum finds what was cut off or mixed
 * up on the way; it is no protection from whoever made the stream, who is trusted with the service's name. This is the codec: no I/O.
 */

#include <stddef.h>
#include <stdint.h>

#define HANDOVER_STATE_MAX (UINT64_C(1) << 30)  /* bytes: a service has it twice in memory for a moment */
#define HANDOVER_STATE_PARTS_MAX 4u
#define HANDOVER_STATE_NAME_MAX 64u             /* bytes of any of its names */

struct handover_part {
        char name[HANDOVER_STATE_NAME_MAX + 1]; /* a file's: without a slash */
        const uint8_t *data;
        size_t size;
};

struct handover_state {
        char service[HANDOVER_STATE_NAME_MAX + 1];
        char bus[HANDOVER_STATE_NAME_MAX + 1];
        uint32_t schema;
        struct handover_part parts[HANDOVER_STATE_PARTS_MAX];
        size_t n_parts;
};

/* The stream belongs to the caller. -E2BIG: it would be longer than HANDOVER_STATE_MAX. */
int handover_state_encode(const struct handover_state *state, uint8_t **ret_stream, size_t *ret_size);

/* Parts point into the stream. -EPROTONOSUPPORT: a version that this program does not know. -EBADMSG: no such stream, or a damaged one. */
int handover_state_decode(const uint8_t *untrusted_stream, size_t size, struct handover_state *ret_state);
