/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Placing granted pages; see grant-pages.h. */

#include "grant-pages.h"

#include <errno.h>
#include <sys/mman.h>

struct page_run page_run_at(const struct emu_mapped_page *pages, size_t n_pages, size_t first) {
        struct page_run run = { .first = first, .n_pages = 1, .fd = pages[first].fd, .page = pages[first].page };

        /* The sum is taken in 64 bits, so the last page a number can name is followed by none. */
        while (first + run.n_pages < n_pages && pages[first + run.n_pages].fd == run.fd &&
               pages[first + run.n_pages].page == (uint64_t) run.page + run.n_pages)
                run.n_pages++;
        return run;
}

void *pages_reserve(size_t n_pages) {
        return mmap(NULL, n_pages * EMU_PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

int pages_place(void *address, const struct emu_mapped_page *pages, size_t n_pages, int prot, const int *fds, size_t n_fds) {
        struct page_run run;

        for (size_t i = 0; i < n_pages; i += run.n_pages) {
                run = page_run_at(pages, n_pages, i);
                if (run.fd >= n_fds || fds[run.fd] < 0)
                        return -EPROTO;
                if (mmap((char *) address + run.first * EMU_PAGE_SIZE, run.n_pages * EMU_PAGE_SIZE, prot, MAP_SHARED | MAP_FIXED,
                         fds[run.fd], (off_t) run.page * EMU_PAGE_SIZE) == MAP_FAILED)
                        return -errno;
        }
        return 0;
}
