/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "copy.h"

#include <errno.h>

int idl_copy_string(struct idl_arena *arena, const char **to, const char *from) {
        const char *copy = NULL;

        if (from) {
                copy = idl_arena_strdup(arena, from);
                if (!copy)
                        return -errno;
        }
        *to = copy;
        return 0;
}

int idl_copy_fd(struct idl_arena *arena, int *to, int from) {
        int fd = idl_arena_keep_fd(arena, from);

        if (fd < 0)
                return fd;
        *to = fd;
        return 0;
}

int idl_copy_array(struct idl_arena *arena, const void **to, size_t *to_n, const void *from, size_t n, size_t size) {
        const void *copy = NULL;

        if (n > 0) {
                copy = idl_arena_memdup(arena, from, n, size);
                if (!copy)
                        return -errno;
        }
        *to = copy;
        *to_n = n;
        return 0;
}

int idl_copy_string_array(struct idl_arena *arena, const char *const **to, size_t *to_n, const char *const *from, size_t n) {
        const char **copy;
        int r;

        copy = idl_arena_alloc(arena, n + 1, sizeof(*copy));
        if (!copy)
                return -errno;
        for (size_t i = 0; i < n; i++) {
                r = idl_copy_string(arena, &copy[i], from[i]);
                if (r < 0)
                        return r;
        }
        *to = copy;
        *to_n = n;
        return 0;
}
