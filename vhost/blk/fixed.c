/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Fixed buffers: a sorted table. */

#include "fixed.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

static int compare(const void *a, const void *b) {
        uintptr_t x = (uintptr_t) ((const struct iovec *) a)->iov_base, y = (uintptr_t) ((const struct iovec *) b)->iov_base;

        return x < y ? -1 : x > y;
}

int fixed_init(struct fixed *fixed, const struct vhost_memory *memory) {
        size_t n = 0;

        *fixed = (struct fixed) {};
        for (size_t i = 0; i < memory->n; i++) {
                size_t size = memory->regions[i].mapping.start ? memory->regions[i].at.size : 0;        /* what is mapped on use is nowhere yet */

                n += size / FIXED_BUFFER_MAX + (size % FIXED_BUFFER_MAX > 0);
                if (n > FIXED_BUFFERS_MAX)
                        return -E2BIG;
        }
        if (n == 0)
                return 0;
        fixed->buffers = calloc(n, sizeof *fixed->buffers);
        if (!fixed->buffers)
                return -ENOMEM;
        for (size_t i = 0; i < memory->n; i++) {
                uint8_t *at = memory->regions[i].mapping.start;
                size_t left = at ? memory->regions[i].at.size : 0;

                while (left > 0) {
                        size_t size = left < FIXED_BUFFER_MAX ? left : FIXED_BUFFER_MAX;

                        fixed->buffers[fixed->n++] = (struct iovec) { at, size };
                        at += size;
                        left -= size;
                }
        }
        qsort(fixed->buffers, fixed->n, sizeof *fixed->buffers, compare);
        return 0;
}

void fixed_done(struct fixed *fixed) {
        free(fixed->buffers);
        *fixed = (struct fixed) {};
}

size_t fixed_bytes(const struct fixed *fixed) {
        size_t bytes = 0;

        for (unsigned i = 0; i < fixed->n; i++)
                bytes += fixed->buffers[i].iov_len;
        return bytes;
}

int fixed_find(const struct fixed *fixed, const struct iovec *piece) {
        uintptr_t at = (uintptr_t) piece->iov_base;
        unsigned low = 0, high = fixed->n;

        while (low < high) {
                unsigned middle = (low + high) / 2;
                uintptr_t start = (uintptr_t) fixed->buffers[middle].iov_base;

                if (at < start)
                        high = middle;
                else if (at - start >= fixed->buffers[middle].iov_len)
                        low = middle + 1;
                else
                        return piece->iov_len <= fixed->buffers[middle].iov_len - (at - start) ? (int) middle : -ENOENT;
        }
        return -ENOENT;
}
