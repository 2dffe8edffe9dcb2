/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Placing granted pages: a contiguous piece of address space is reserved first and then filled with pages, which may come from many
 * memfds. Pages that lie next to each other in the same memfd take one mmap(2) together.
 */

#include <stddef.h>

#include "protocol.h"

struct page_run {
        size_t first;                   /* its place: which of the pages asked for */
        size_t n_pages;
        uint32_t fd;                    /* index of the descriptor */
        uint32_t page;                  /* first page in it */
};

/* Finds the run of pages that begins at pages[first], which must exist. */
struct page_run page_run_at(const struct emu_mapped_page *pages, size_t n_pages, size_t first);

/* Reserves n_pages of address space that cannot be accessed. Returns MAP_FAILED with errno on failure. */
void *pages_reserve(size_t n_pages);

/* Fills the place at address with pages of fds, all of them. Returns 0 or a negative errno; -EPROTO if pages names other descriptors. */
int pages_place(void *address, const struct emu_mapped_page *pages, size_t n_pages, int prot, const int *fds, size_t n_fds);
