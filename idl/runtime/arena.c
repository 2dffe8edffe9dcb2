/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_SIZE_MIN 1024u
#define ALIGNMENT (_Alignof(max_align_t))

struct idl_arena_block {
        struct idl_arena_block *next;
        size_t n, size;
        _Alignas(max_align_t) char data[];
};

struct idl_arena_keep {
        struct idl_arena_keep *next;
        sd_bus_message *message;
        int fd;
};

void idl_arena_done(struct idl_arena *arena) {
        /* Keeps are in blocks, so they go first. */
        for (struct idl_arena_keep *keep = arena->keeps; keep; keep = keep->next) {
                sd_bus_message_unref(keep->message);
                if (keep->fd >= 0)
                        close(keep->fd);
        }

        for (struct idl_arena_block *block = arena->blocks, *next; block; block = next) {
                next = block->next;
                free(block);
        }

        *arena = (struct idl_arena) IDL_ARENA_NULL;
}

void *idl_arena_alloc(struct idl_arena *arena, size_t n, size_t size) {
        struct idl_arena_block *block = arena->blocks;
        size_t n_bytes, n_total;
        void *p;

        if (__builtin_mul_overflow(n, size, &n_bytes) || __builtin_add_overflow(n_bytes, ALIGNMENT - 1, &n_bytes) ||
            __builtin_add_overflow(arena->n_bytes, n_bytes / ALIGNMENT * ALIGNMENT, &n_total))
                n_total = SIZE_MAX;
        if (n_total > IDL_ARENA_MAX) {
                arena->n_wanted = n_total;
                errno = E2BIG;
                return NULL;
        }
        n_bytes = n_total - arena->n_bytes;

        if (!block || block->size - block->n < n_bytes) {
                size_t block_size = block ? 2 * block->size : BLOCK_SIZE_MIN;

                if (block_size < n_bytes)
                        block_size = n_bytes;
                block = calloc(1, sizeof(*block) + block_size);
                if (!block)
                        return NULL;
                block->size = block_size;
                block->next = arena->blocks;
                arena->blocks = block;
        }

        p = block->data + block->n;
        block->n += n_bytes;
        arena->n_bytes = n_total;
        return p;
}

int idl_arena_grow(struct idl_arena *arena, void **items, size_t *n_allocated, size_t n, size_t size) {
        size_t n_new = *n_allocated ? 2 * *n_allocated : 4;
        void *p;

        if (n <= *n_allocated)
                return 0;

        if (n_new < n)
                n_new = n;
        p = idl_arena_alloc(arena, n_new, size);
        if (!p)
                return -errno;
        if (*n_allocated > 0)
                memcpy(p, *items, *n_allocated * size);
        *items = p;
        *n_allocated = n_new;
        return 0;
}

void *idl_arena_memdup(struct idl_arena *arena, const void *data, size_t n, size_t size) {
        void *p = idl_arena_alloc(arena, n, size);

        if (p && n > 0)
                memcpy(p, data, n * size);
        return p;
}

char *idl_arena_strdup(struct idl_arena *arena, const char *s) {
        if (!s) {
                errno = 0;
                return NULL;
        }
        return idl_arena_memdup(arena, s, strlen(s) + 1, 1);
}

char *idl_arena_printf(struct idl_arena *arena, const char *format, ...) {
        va_list ap;
        char *p;
        int n;

        va_start(ap, format);
        n = vsnprintf(NULL, 0, format, ap);
        va_end(ap);
        if (n < 0)
                return NULL;

        p = idl_arena_alloc(arena, (size_t) n + 1, 1);
        if (!p)
                return NULL;
        va_start(ap, format);
        vsnprintf(p, (size_t) n + 1, format, ap);
        va_end(ap);
        return p;
}

static struct idl_arena_keep *arena_keep(struct idl_arena *arena) {
        struct idl_arena_keep *keep = idl_arena_alloc(arena, 1, sizeof(*keep));

        if (!keep)
                return NULL;
        keep->fd = -1;
        keep->next = arena->keeps;
        arena->keeps = keep;
        return keep;
}

int idl_arena_keep_message(struct idl_arena *arena, sd_bus_message *message) {
        struct idl_arena_keep *keep = arena_keep(arena);

        if (!keep)
                return -errno;
        keep->message = sd_bus_message_ref(message);
        return 0;
}

int idl_arena_keep_fd(struct idl_arena *arena, int fd) {
        struct idl_arena_keep *keep = arena_keep(arena);

        if (!keep)
                return -errno;
        keep->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        return keep->fd < 0 ? -errno : keep->fd;
}
