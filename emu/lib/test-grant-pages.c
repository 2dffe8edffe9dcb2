/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Placing pages: which of them take one mmap(2) together, and that each ends up in its place. */

#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "grant-pages.h"

#define PAGES(...) (const struct emu_mapped_page[]) { __VA_ARGS__ }, sizeof((struct emu_mapped_page[]) { __VA_ARGS__ }) / 8

static void assert_runs(const char *expected, const struct emu_mapped_page *pages, size_t n_pages) {
        GString *runs = g_string_new(NULL);
        struct page_run run;

        for (size_t i = 0; i < n_pages; i += run.n_pages) {
                run = page_run_at(pages, n_pages, i);
                g_assert_cmpuint(run.first, ==, i);
                g_assert_cmpuint(run.n_pages, >, 0);
                g_string_append_printf(runs, "%s%u:%u+%zu", i ? " " : "", run.fd, run.page, run.n_pages);
        }
        g_assert_cmpstr(runs->str, ==, expected);
        g_string_free(runs, TRUE);
}

static void test_runs(void) {
        assert_runs("", NULL, 0);
        assert_runs("0:0+1", PAGES({ .page = 0 }));
        assert_runs("0:4+3", PAGES({ .page = 4 }, { .page = 5 }, { .page = 6 }));
        assert_runs("0:4+1 0:6+1", PAGES({ .page = 4 }, { .page = 6 }));
        assert_runs("0:6+1 0:5+1 0:4+1", PAGES({ .page = 6 }, { .page = 5 }, { .page = 4 }));
        assert_runs("0:4+1 0:4+1", PAGES({ .page = 4 }, { .page = 4 }));
        assert_runs("0:4+1 1:5+2 0:5+1", PAGES({ .page = 4 }, { .fd = 1, .page = 5 }, { .fd = 1, .page = 6 }, { .page = 5 }));
        assert_runs("0:4294967295+1 0:0+1", PAGES({ .page = UINT32_MAX }, { .page = 0 }));
}

static int memory(uint32_t n_pages, char mark) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        g_assert_cmpint(ftruncate(fd, n_pages * EMU_PAGE_SIZE), ==, 0);
        for (uint32_t i = 0; i < n_pages; i++) {
                const char text[] = { mark, (char) ('0' + i) };

                g_assert_cmpint(pwrite(fd, text, sizeof text, i * EMU_PAGE_SIZE), ==, sizeof text);
        }
        return fd;
}

static void test_place(void) {
        const int fds[] = { memory(4, 'a'), memory(2, 'b') };
        const char expected[][3] = { "a1", "a2", "b1", "a0", "a3" };
        char *address = pages_reserve(5);

        g_assert_true(address != MAP_FAILED);
        g_assert_cmpint(pages_place(address, PAGES({ .page = 1 }, { .page = 2 }, { .fd = 1, .page = 1 }, { .page = 0 }, { .page = 3 }),
                                    PROT_READ | PROT_WRITE, fds, 2), ==, 0);
        for (size_t i = 0; i < 5; i++)
                g_assert_cmpmem(address + i * EMU_PAGE_SIZE, 2, expected[i], 2);

        address[2 * EMU_PAGE_SIZE] = 'B';       /* shared, not a copy */
        g_assert_cmpint(pread(fds[1], address, 1, EMU_PAGE_SIZE), ==, 1);
        g_assert_cmpint(address[0], ==, 'B');

        munmap(address, 5 * EMU_PAGE_SIZE);
        close(fds[0]);
        close(fds[1]);
}

static void test_place_refuses(void) {
        const int fds[] = { memory(1, 'a'), -1 };
        char *address = pages_reserve(1);

        g_assert_cmpint(pages_place(address, PAGES({ .fd = 1 }), PROT_READ, fds, 2), ==, -EPROTO);
        g_assert_cmpint(pages_place(address, PAGES({ .fd = 2 }), PROT_READ, fds, 2), ==, -EPROTO);
        g_assert_cmpint(pages_place(address, PAGES({ .fd = UINT16_MAX }), PROT_READ, fds, 2), ==, -EPROTO);
        munmap(address, EMU_PAGE_SIZE);
        close(fds[0]);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/grant-pages/neighbours-in-one-memfd-make-a-run", test_runs);
        g_test_add_func("/grant-pages/each-page-in-its-place", test_place);
        g_test_add_func("/grant-pages/descriptors-that-did-not-come", test_place_refuses);
        return g_test_run();
}
