/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Memory for hypercall arguments. Nobody but this process looks at it here, so it is ordinary memory, zeroed and page aligned as
 * callers expect. Freeing preserves errno: libxenctrl frees between a failed hypercall and looking at why it failed.
 */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "call-handle.h"

void *xencall_alloc_buffer_pages(xencall_handle *xcall, size_t nr_pages) {
        size_t size;
        void *pages;

        if (__builtin_mul_overflow(nr_pages, (size_t) EMU_PAGE_SIZE, &size)) {
                errno = ENOMEM;
                return NULL;
        }
        pages = aligned_alloc(EMU_PAGE_SIZE, size);
        return pages ? memset(pages, 0, size) : NULL;
}

void xencall_free_buffer_pages(xencall_handle *xcall, void *p, size_t nr_pages) {
        xencall_free_buffer(xcall, p);
}

void *xencall_alloc_buffer(xencall_handle *xcall, size_t size) {
        return xencall_alloc_buffer_pages(xcall, size / EMU_PAGE_SIZE + 1);
}

void xencall_free_buffer(xencall_handle *xcall, void *p) {
        int saved_errno = errno;

        free(p);
        errno = saved_errno;
}

int xencall_buffers_never_fault(xencall_handle *xcall) {
        return 1;
}
