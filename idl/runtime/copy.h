/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Copies of values, owned by an arena: what generated copy functions are made of. Return 0 or a negative errno. */

#include <stddef.h>

#include "arena.h"

int idl_copy_string(struct idl_arena *arena, const char **to, const char *from);        /* NULL stays NULL */
int idl_copy_fd(struct idl_arena *arena, int *to, int from);
int idl_copy_array(struct idl_arena *arena, const void **to, size_t *to_n, const void *from, size_t n, size_t size);
int idl_copy_string_array(struct idl_arena *arena, const char *const **to, size_t *to_n, const char *const *from, size_t n);
