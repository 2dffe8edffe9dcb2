/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The I/O of a queue: the same bytes on disk and in memory by each way that it can go. Where the kernel has no io_uring, or refuses to pin, the next way is taken. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io.h"

#define DISK_BYTES (1u << 20)
#define REGION_BYTES (256u << 10)
#define WAIT_USEC (60 * UINT64_C(1000000))

struct fixture {
        struct disk disk;
        struct vhost_memory memory;
        struct io io;
        struct request request;
        struct iovec data[3];
        int wake_fd;
        uint8_t *at[2];                 /* two regions, which follow each other in the guest and nowhere else */
};

static int make_file(void) {
        char name[] = "/tmp/test-vhost-blk-io-XXXXXX";
        int fd = mkstemp(name);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(unlink(name), ==, 0);
        g_assert_cmpint(ftruncate(fd, DISK_BYTES), ==, 0);
        return fd;
}

static void begin(struct fixture *fixture, bool want_uring, bool want_pinned) {
        *fixture = (struct fixture) { .disk = { .fd = make_file(), .size = DISK_BYTES }, .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
        for (int i = 0; i < 2; i++) {
                const struct vhost_region region = { .guest_address = i * REGION_BYTES, .user_address = (1 + 2 * i) * REGION_BYTES, .size = REGION_BYTES };
                int fd = memfd_create("test-io", MFD_CLOEXEC);

                g_assert_cmpint(ftruncate(fd, REGION_BYTES), ==, 0);
                g_assert_cmpint(vhost_memory_add(&fixture->memory, &region, fd), ==, 0);
                fixture->at[i] = vhost_memory_guest(&fixture->memory, region.guest_address, region.size);
                close(fd);
        }
        if (!want_uring || io_init(&fixture->io, &fixture->disk, want_pinned ? &fixture->memory : NULL, 8, true) < 0)
                g_assert_cmpint(io_init(&fixture->io, &fixture->disk, NULL, 8, false), ==, 0);
        fixture->io.no_cached_reads = true;     /* whatever the page cache has: io_uring is what is tried */
}

static void end(struct fixture *fixture) {
        io_done(&fixture->io);
        g_assert_cmpuint(fixture->disk.pinned_bytes, ==, 0);
        vhost_memory_clear(&fixture->memory);
        close(fixture->wake_fd);
        close(fixture->disk.fd);
}

/* A read or write of the pieces that are in data. */
static void transfer(struct fixture *fixture, enum request_action action, uint64_t offset, size_t n_data) {
        struct request *request = &fixture->request;

        *request = (struct request) { .action = action, .data = fixture->data, .n_data = n_data, .offset = offset };
        for (size_t i = 0; i < n_data; i++)
                request->length += fixture->data[i].iov_len;
        io_start(&fixture->io, request);
        while (!fixture->io.ended) {
                io_wait(&fixture->io, -1, fixture->wake_fd, true, WAIT_USEC);
                g_assert_true(fixture->io.ended);
        }
        g_assert_true(io_take_ended(&fixture->io) == request);
        g_assert_cmpuint(fixture->io.n_in_flight, ==, 0);
        g_assert_cmpuint(request->status, ==, 0);
}

/* Writes from the end of the first region and the beginning of the second, and reads in other pieces. */
static void write_and_read(struct fixture *fixture) {
        uint8_t *end_of_first = fixture->at[0] + REGION_BYTES - 4096, found[8192];

        memset(end_of_first, 'a', 4096);
        memset(fixture->at[1], 'b', 4096);
        fixture->data[0] = (struct iovec) { end_of_first, 4096 };
        transfer(fixture, REQUEST_WRITE, 512, 1);
        fixture->data[0] = (struct iovec) { fixture->at[1], 4096 };
        transfer(fixture, REQUEST_WRITE, 512 + 4096, 1);
        g_assert_cmpint(pread(fixture->disk.fd, found, sizeof found, 512), ==, sizeof found);
        g_assert_cmpmem(found, 4096, end_of_first, 4096);
        g_assert_cmpmem(found + 4096, 4096, fixture->at[1], 4096);

        fixture->data[0] = (struct iovec) { fixture->at[0], 8192 };
        transfer(fixture, REQUEST_READ, 512, 1);
        g_assert_cmpmem(fixture->at[0], 8192, found, 8192);

        memset(end_of_first, 0, 4096);
        memset(fixture->at[1], 0, 8192);
        fixture->data[0] = (struct iovec) { end_of_first + 512, 3584 };
        fixture->data[1] = (struct iovec) { fixture->at[1], 4096 };
        fixture->data[2] = (struct iovec) { fixture->at[1] + 4608, 512 };
        transfer(fixture, REQUEST_READ, 512, 3);
        g_assert_cmpmem(end_of_first + 512, 3584, found, 3584);
        g_assert_cmpmem(fixture->at[1], 4096, found + 3584, 4096);
        g_assert_cmpmem(fixture->at[1] + 4608, 512, found + 7680, 512);
}

static void test_plain(void) {
        struct fixture fixture;

        begin(&fixture, false, true);
        write_and_read(&fixture);
        g_assert_cmpuint(fixture.disk.n_fixed, ==, 0);
        end(&fixture);
}

static void test_uring(void) {
        struct fixture fixture;

        begin(&fixture, true, false);
        write_and_read(&fixture);
        g_assert_cmpuint(fixture.disk.n_fixed, ==, 0);
        end(&fixture);
}

static void test_pinned(void) {
        struct fixture fixture;

        for (int write_back = 0; write_back < 2; write_back++) {
                begin(&fixture, true, true);
                fixture.disk.write_back = write_back;
                fixture.io.no_cached_writes = true;
                write_and_read(&fixture);
                if (fixture.disk.pinned_bytes > 0) {
                        g_assert_cmpuint(fixture.disk.pinned_bytes, ==, 2 * REGION_BYTES);
                        g_assert_cmpuint(fixture.disk.n_fixed, ==, 3);  /* not that of several pieces */
                } else
                        g_assert_cmpuint(fixture.disk.n_fixed, ==, 0);
                end(&fixture);
        }
}

/* What a process may not lock is not pinned, and works all the same. */
static void test_refused(void) {
        struct fixture fixture;

        begin(&fixture, true, false);
        io_done(&fixture.io);
        fixture.disk.pin_refused = true;        /* said before */
        fixture.memory.regions[1].at.size = (uint64_t) 1 << 41; /* no kernel takes it */
        if (io_init(&fixture.io, &fixture.disk, &fixture.memory, 8, true) < 0)
                g_assert_cmpint(io_init(&fixture.io, &fixture.disk, NULL, 8, false), ==, 0);
        fixture.memory.regions[1].at.size = REGION_BYTES;
        write_and_read(&fixture);
        g_assert_cmpuint(fixture.disk.pinned_bytes, ==, 0);
        g_assert_cmpuint(fixture.disk.n_fixed, ==, 0);
        end(&fixture);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/io/in-the-thread", test_plain);
        g_test_add_func("/io/with-io-uring", test_uring);
        g_test_add_func("/io/with-pinned-memory", test_pinned);
        g_test_add_func("/io/with-memory-that-cannot-be-pinned", test_refused);
        return g_test_run();
}
