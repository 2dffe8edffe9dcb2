/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a share's memory bears: read-only means read-only, and nobody can shrink or block it. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "test-shares.h"

static void set_up(struct machine *m, gconstpointer limits) {
        machine_init(m, limits);
}

static void tear_down(struct machine *m, gconstpointer limits) {
        machine_done(m);
}

static int reopen(int fd, int flags) {
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open(path, flags | O_CLOEXEC);
}

static void assert_fails(long result, int error) {
        g_assert_cmpint(result, ==, -1);
        g_assert_cmpint(errno, ==, error);
}

/* Everything one can do with a descriptor to change a byte or take a page away. fd: open for writing, if that was possible. */
static void assert_unwritable(int fd) {
        char byte = 'x';
        void *p = mmap(NULL, EMU_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

        g_assert_true(p != MAP_FAILED);
        assert_fails(mprotect(p, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE), EACCES);
        assert_fails(madvise(p, EMU_PAGE_SIZE, MADV_REMOVE), EACCES);
        munmap(p, EMU_PAGE_SIZE);
        g_assert_true(mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        g_assert_cmpint(pwrite(fd, &byte, 1, 0), ==, -1);
        g_assert_cmpint(ftruncate(fd, 0), ==, -1);
        g_assert_cmpint(ftruncate(fd, 3 * EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fallocate(fd, 0, 0, 3 * EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), ==, -1);
}

static void test_readonly(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, true);
        uint8_t *own = mmap(NULL, 2 * EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, share->memfd, 0);
        struct mapping *mapping;
        char byte;
        int fd;

        g_assert_true(own != MAP_FAILED);
        g_assert_cmpint(share_seal(share), ==, 0);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        mapping = map(m, page_of(share, 0), true);
        fd = grant_fd(mapping->pages[0], true);
        g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
        assert_unwritable(fd);
        fd = reopen(fd, O_RDWR);
        g_assert_cmpint(fd, >=, 0); /* it is ours to open, but */
        assert_unwritable(fd);
        assert_unwritable(share->memfd);
        assert_fails(reopen(fd, O_RDWR | O_TRUNC), EPERM);

        own[7] = 'y'; /* the owner still can */
        g_assert_cmpint(pread(fd, &byte, 1, 7), ==, 1);
        g_assert_cmpint(byte, ==, 'y');
        close(fd);
        munmap(own, 2 * EMU_PAGE_SIZE);
        share_end(share);
        mapping_end(mapping);
}

static void test_readonly_is_sealed_first(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, true), *writable = share_pages(m, 1, false);

        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_general_error);
        g_assert_cmpint(share_seal(share), ==, 0);
        g_assert_cmpint(share_seal(share), ==, -EINVAL);
        g_assert_cmpint(share_seal(writable), ==, -EINVAL);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_okay);
        share_end(share);
        share_end(writable);
}

static unsigned int count_mappings(void) {
        FILE *f = fopen("/proc/self/maps", "re");
        unsigned int n = 0;

        g_assert_nonnull(f);
        for (int c; (c = getc(f)) != EOF;)
                n += c == '\n';
        fclose(f);
        return n;
}

/* An owner that has forbidden more seals has a share that nobody can map, and asking again and again costs us nothing. */
static void test_sealed_by_its_owner(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, true);
        unsigned int n_mappings;

        g_assert_cmpint(fcntl(share->memfd, F_ADD_SEALS, F_SEAL_SEAL), ==, 0);
        g_assert_cmpint(share_seal(share), ==, -EPERM);
        n_mappings = count_mappings();
        for (unsigned int i = 0; i < 50; i++)
                g_assert_cmpint(share_seal(share), ==, -EPERM);
        g_assert_cmpuint(count_mappings(), <, n_mappings + 25); /* a sanitizer makes some of its own */
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_general_error);
        share_end(share);
}

static void test_nobody_can_shrink(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        int fd = grant_fd(mapping->pages[0], false);

        assert_fails(ftruncate(fd, EMU_PAGE_SIZE), EPERM);
        assert_fails(ftruncate(fd, 0), EPERM);
        assert_fails(ftruncate(fd, 3 * EMU_PAGE_SIZE), EPERM);
        assert_fails(fallocate(fd, 0, 0, 3 * EMU_PAGE_SIZE), EPERM);
        assert_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), EPERM);
        assert_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
        mapping_end(mapping);
        share_end(share);
}

/* Opening a file that somebody has a lease on waits for them, up to a minute. */
static void test_lease(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct emu_map_page page = page_of(share, 0);
        struct mapping *mapping = NULL;
        int16_t status;
        int fd = reopen(share->memfd, O_RDWR);

        if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
                g_test_skip("this kernel gives no lease on a memfd");
        else {
                signal(SIGIO, SIG_IGN);
                alarm(30); /* instead of a minute */
                g_assert_cmpint(mapping_new(m->domains[GRANTEE], &page, 1, true, &status, &mapping), ==, -EAGAIN);
                alarm(0);
                g_assert_null(mapping);
        }
        close(fd);
        share_end(share);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, limits, test) g_test_add("/grant-memory/" path, struct machine, limits, set_up, test, tear_down)
        add("a-read-only-grant-cannot-be-written", NULL, test_readonly);
        add("a-read-only-grant-can-be-mapped-only-once-sealed", NULL, test_readonly_is_sealed_first);
        add("an-owner-that-seals-it-itself-costs-nothing", NULL, test_sealed_by_its_owner);
        add("nobody-can-shrink-a-share", NULL, test_nobody_can_shrink);
        add("a-lease-does-not-block-us", NULL, test_lease);
        return g_test_run();
}
