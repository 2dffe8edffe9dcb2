/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Arenas: memory that is all given back at once.
 *
 * What a message needs in C form (arrays, structures, the messages behind variants) is put into one arena, and so has one owner and
 * one moment at which it ends. An arena only grows, and never beyond IDL_ARENA_MAX: a caller pays for the memory of its arguments
 * with bytes of its message, but an array of empty records costs 8 bytes there and a structure here.
 */

#include <stddef.h>

#include <systemd/sd-bus.h>

#define IDL_ARENA_MAX (16u * 1024 * 1024)       /* many times what any interface needs; what a call can make a service allocate */

struct idl_arena {
        struct idl_arena_block *blocks;
        struct idl_arena_keep *keeps;
        size_t n_bytes;                         /* all allocations so far */
        size_t n_wanted;                        /* after E2BIG: what they would have come to */
};

#define IDL_ARENA_NULL { .blocks = NULL }

/* Frees everything. The arena is empty afterwards, and can be used again. */
void idl_arena_done(struct idl_arena *arena);

/* Zeroed memory for n objects. Returns NULL with errno set to ENOMEM, or to E2BIG if the arena would become too large. */
void *idl_arena_alloc(struct idl_arena *arena, size_t n, size_t size);

/* Makes room for n objects where *items has room for *n_allocated: 0 (then *items may have moved), -ENOMEM or -E2BIG. */
int idl_arena_grow(struct idl_arena *arena, void **items, size_t *n_allocated, size_t n, size_t size);

/* Return NULL with errno set, as idl_arena_alloc() does; idl_arena_strdup() also if it is given NULL, with errno 0. */
char *idl_arena_strdup(struct idl_arena *arena, const char *s);
char *idl_arena_printf(struct idl_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
void *idl_arena_memdup(struct idl_arena *arena, const void *data, size_t n, size_t size);

/* Keep a message (a reference of the arena's own) or a descriptor (a duplicate, which is returned) until the arena ends. */
int idl_arena_keep_message(struct idl_arena *arena, sd_bus_message *message);
int idl_arena_keep_fd(struct idl_arena *arena, int fd);
