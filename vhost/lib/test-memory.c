/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guest's memory: translations at both sides of every bound, regions that cannot be, and memory that is taken away. */

#include <errno.h>
#include <glib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "log.h"
#include "memory.h"

#define PAGE 4096u

static int make_file(size_t size) {
        int fd = memfd_create("test", MFD_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, (off_t) size), ==, 0);
        return fd;
}

static void test_bounds(void) {
        struct vhost_memory memory = {};
        const struct vhost_region region = { .guest_address = 0x10000, .size = 2 * PAGE, .user_address = 0x7000000, .mmap_offset = PAGE };
        int fd = make_file(3 * PAGE);
        uint8_t *p;

        g_assert_cmpint(vhost_memory_add(&memory, &region, fd), ==, 0);
        p = vhost_memory_guest(&memory, 0x10000, 2 * PAGE);
        g_assert_nonnull(p);
        g_assert_true(vhost_memory_guest(&memory, 0x10000 + 2 * PAGE - 1, 1) == p + 2 * PAGE - 1);
        g_assert_null(vhost_memory_guest(&memory, 0x10000, 2 * PAGE + 1));
        g_assert_null(vhost_memory_guest(&memory, 0x10000 + 2 * PAGE, 1));
        g_assert_null(vhost_memory_guest(&memory, 0x10000 - 1, 1));
        g_assert_null(vhost_memory_guest(&memory, 0x10001, UINT64_MAX));
        g_assert_true(vhost_memory_user(&memory, 0x7000000, 1) == p);
        g_assert_null(vhost_memory_user(&memory, 0x7000000, 2 * PAGE + 1));
        g_assert_null(vhost_memory_user(&memory, 0x6ffffff, 1));
        g_assert_cmpuint(vhost_memory_guest_address(&memory, p + 5), ==, 0x10005);

        p[0] = 42;                      /* the offset into the file is right */
        g_assert_cmpint(pread(fd, &p[1], 1, PAGE), ==, 1);
        g_assert_cmpuint(p[1], ==, 42);
        vhost_memory_clear(&memory);
        close(fd);
}

static void test_refused(void) {
        static const struct {
                struct vhost_region region;
                int error;
        } cases[] = {
                { { 0x10000, 0, 0x7000000, 0 }, -EINVAL },
                { { UINT64_MAX - PAGE + 2, PAGE, 0x7000000, 0 }, -EINVAL },
                { { 0x10000, PAGE, UINT64_MAX - PAGE + 2, 0 }, -EINVAL },
                { { 0x10000, PAGE, 0x7000000, UINT64_MAX - 1 }, -EINVAL },
                { { 0x10000, 4 * PAGE + 1, 0x7000000, 0 }, -EINVAL },
                { { 0x10000, PAGE, 0x7000000, 4 * PAGE }, -EINVAL },
                { { 0x1000, 2, 0x7000000, 0 }, -EEXIST },               /* in guest addresses */
                { { 0x10000, 2, 0x100000 + PAGE - 1, 0 }, -EEXIST },    /* in user addresses */
                { { 0xfff, 2, 0x7000000, 0 }, -EEXIST },
        };
        struct vhost_memory memory = {};
        const struct vhost_region other = { 0x1000, PAGE, 0x100000, 0 };
        int fd = make_file(4 * PAGE), pipes[2];

        g_assert_cmpint(vhost_memory_add(&memory, &other, fd), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                g_assert_cmpint(vhost_memory_add(&memory, &cases[i].region, fd), ==, cases[i].error);
        g_assert_cmpint(pipe(pipes), ==, 0);
        g_assert_cmpint(vhost_memory_add(&memory, &cases[0].region, pipes[0]), ==, -EINVAL);
        g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { 0x10000, PAGE, 0x7000000, 0 }, pipes[0]), ==, -ENODEV);
        g_assert_cmpuint(memory.n, ==, 1);
        close(pipes[0]);
        close(pipes[1]);
        vhost_memory_clear(&memory);
        close(fd);
}

/* A buffer over two regions that follow each other is two pieces; over a hole, it is none. */
static void test_pieces(void) {
        struct vhost_memory memory = {};
        struct vhost_loans *loans = NULL;
        struct iovec iov[2];
        size_t n = 0;
        int fd = make_file(2 * PAGE);

        g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { 0x11000, PAGE, 0x500000, PAGE }, fd), ==, 0);
        g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { 0x10000, PAGE, 0x900000, 0 }, fd), ==, 0);
        g_assert_cmpint(vhost_memory_pieces(&memory, &loans, 0x10ff0, 0x20, true, iov, &n, 2), ==, 0);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpuint(iov[0].iov_len, ==, 0x10);
        g_assert_cmpuint(iov[1].iov_len, ==, 0x10);
        g_assert_true(iov[1].iov_base == vhost_memory_guest(&memory, 0x11000, 1));
        g_assert_cmpint(vhost_memory_pieces(&memory, &loans, 0x10000, 1, true, iov, &n, 2), ==, -E2BIG);
        n = 0;
        g_assert_cmpint(vhost_memory_pieces(&memory, &loans, 0x11ff0, 0x20, true, iov, &n, 2), ==, -EFAULT);
        g_assert_cmpint(vhost_memory_remove(&memory, &(struct vhost_region) { 0x10000, PAGE, 0x900001, 0 }), ==, -ENOENT);
        g_assert_cmpint(vhost_memory_remove(&memory, &(struct vhost_region) { 0x10000, PAGE, 0x900000, 77 }), ==, 0);
        n = 0;
        g_assert_cmpint(vhost_memory_pieces(&memory, &loans, 0x10ff0, 0x20, true, iov, &n, 2), ==, -EFAULT);
        vhost_memory_clear(&memory);
        close(fd);
}

static void test_slots(void) {
        struct vhost_memory memory = {};
        int fd = make_file(PAGE);

        for (uint64_t i = 0; i < VHOST_SLOTS_MAX; i++)
                g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { (99 - i) * PAGE, PAGE, (1000 + i) * PAGE, 0 }, fd), ==, 0);
        g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { 0, PAGE, 0, 0 }, fd), ==, -ENOSPC);
        for (uint64_t i = 0; i < VHOST_SLOTS_MAX; i++)
                g_assert_nonnull(vhost_memory_guest(&memory, (99 - i) * PAGE, PAGE));
        vhost_memory_clear(&memory);
        close(fd);
}

/* A front-end that makes its file shorter takes its own data away, and not the process. */
static void test_shrinks(void) {
        struct vhost_memory memory = {};
        int fd = make_file(2 * PAGE);
        volatile uint8_t *p;

        g_assert_cmpint(vhost_mapping_guard(), ==, 0);
        g_assert_cmpint(vhost_memory_add(&memory, &(struct vhost_region) { 0, 2 * PAGE, 0x500000, 0 }, fd), ==, 0);
        p = vhost_memory_guest(&memory, 0, 2 * PAGE);
        p[0] = p[PAGE] = 7;
        g_assert_cmpint(ftruncate(fd, PAGE), ==, 0);
        g_assert_false(vhost_memory_is_lost(&memory));
        g_assert_cmpuint(p[PAGE], ==, 0);
        p[PAGE + 1] = 1;
        g_assert_cmpuint(p[0], ==, 7);
        g_assert_true(vhost_memory_is_lost(&memory));
        vhost_memory_clear(&memory);
        close(fd);
}

/* As many as can be guarded, and not one more, which its owner could end this process with. */
static void test_too_many(void) {
        g_autofree struct vhost_mapping *mappings = g_new0(struct vhost_mapping, 5000);
        int fd = make_file(PAGE);
        size_t n = 0;
        int r;

        while ((r = vhost_mapping_open(&mappings[n], fd, 0, PAGE)) == 0) {
                g_assert_cmpint(mappings[n].guard, >=, 0);
                n++;
                g_assert_cmpuint(n, <, 5000);
        }
        g_assert_cmpint(r, ==, -EMFILE);
        vhost_mapping_close(&mappings[--n]);
        g_assert_cmpint(vhost_mapping_open(&mappings[n], fd, 0, PAGE), ==, 0);
        for (size_t i = 0; i <= n; i++)
                vhost_mapping_close(&mappings[i]);
        close(fd);
}

static void test_log(void) {
        struct vhost_log log = VHOST_LOG_NONE;
        uint8_t bits[4] = {};
        int fd = make_file(PAGE);

        vhost_log_write(&log, 0, 1);    /* of none, nothing happens */
        g_assert_cmpint(vhost_log_open(&log, fd, 8, 4), ==, 0);
        vhost_log_write(&log, 4095, 2);
        vhost_log_write(&log, 9 * 4096, 0);
        vhost_log_write(&log, 31 * 4096, 4096 * 10);    /* beyond the log's end */
        vhost_log_write(&log, UINT64_MAX, 2);
        g_assert_cmpint(pread(fd, bits, sizeof bits, 8), ==, sizeof bits);
        g_assert_cmpuint(bits[0], ==, 3);
        g_assert_cmpuint(bits[1], ==, 0);
        g_assert_cmpuint(bits[3], ==, 0x80);
        g_assert_cmpint(pread(fd, bits, 1, 12), ==, 1);
        g_assert_cmpuint(bits[0], ==, 0);
        vhost_log_close(&log);
        close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/memory/bounds", test_bounds);
        g_test_add_func("/memory/regions-that-cannot-be", test_refused);
        g_test_add_func("/memory/buffer-over-regions", test_pieces);
        g_test_add_func("/memory/slots", test_slots);
        g_test_add_func("/memory/file-that-shrinks", test_shrinks);
        g_test_add_func("/memory/more-mappings-than-can-be-guarded", test_too_many);
        g_test_add_func("/log/pages", test_log);
        return g_test_run();
}
