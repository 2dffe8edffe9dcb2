/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The I/O of a queue: the same bytes on disk and in memory by each way that it can go, and on the disk when they have to be. Where the kernel has no io_uring, or refuses to pin, the next way is taken. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

/* In place of the C library's: what reaches the kernel. */

static unsigned n_syncs;
static int write_flags;

int fdatasync(int fd) {
        n_syncs++;
        return (int) syscall(SYS_fdatasync, fd);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags) {
        write_flags = flags;
        return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

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

/* Waits for the request's end. Returns its status. */
static uint8_t finish(struct fixture *fixture) {
        while (!fixture->io.ended) {
                io_wait(&fixture->io, -1, fixture->wake_fd, true, WAIT_USEC);
                g_assert_true(fixture->io.ended);
        }
        g_assert_true(io_take_ended(&fixture->io) == &fixture->request);
        g_assert_cmpuint(fixture->io.n_in_flight, ==, 0);
        return fixture->request.status;
}

/* A read or write of the pieces that are in data. */
static void start_transfer(struct fixture *fixture, enum request_action action, uint64_t offset, size_t n_data) {
        struct request *request = &fixture->request;

        *request = (struct request) { .action = action, .data = fixture->data, .n_data = n_data, .offset = offset };
        for (size_t i = 0; i < n_data; i++)
                request->length += fixture->data[i].iov_len;
        io_start(&fixture->io, request);
}

static void transfer(struct fixture *fixture, enum request_action action, uint64_t offset, size_t n_data) {
        start_transfer(fixture, action, offset, n_data);
        g_assert_cmpuint(finish(fixture), ==, 0);
}

/* What the kernel is going to be told of the request that was begun last. NULL: there is no io_uring here. */
static const struct io_uring_sqe *last_of_ring(const struct fixture *fixture) {
        const struct io_uring_sq *sq = &fixture->io.uring.sq;

        return fixture->io.has_uring ? &sq->sqes[(sq->sqe_tail - 1) & sq->ring_mask] : NULL;
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

/* Another file in place of the disk's. */
static void put_disk(struct fixture *fixture, int fd, bool want_uring) {
        g_assert_cmpint(fd, >=, 0);
        io_done(&fixture->io);
        close(fixture->disk.fd);
        fixture->disk.fd = fd;
        if (!want_uring || io_init(&fixture->io, &fixture->disk, NULL, 8, true) < 0)
                g_assert_cmpint(io_init(&fixture->io, &fixture->disk, NULL, 8, false), ==, 0);
}

static void test_flush(void) {
        struct fixture fixture;

        for (int want_uring = 0; want_uring < 2; want_uring++) {
                begin(&fixture, want_uring, false);
                n_syncs = 0;
                fixture.request = (struct request) { .action = REQUEST_FLUSH };
                io_start(&fixture.io, &fixture.request);
                if (fixture.io.has_uring) {
                        g_assert_cmpuint(last_of_ring(&fixture)->opcode, ==, IORING_OP_FSYNC);
                        g_assert_cmpuint(last_of_ring(&fixture)->fsync_flags, ==, IORING_FSYNC_DATASYNC);
                } else
                        g_assert_cmpuint(n_syncs, ==, 1);
                g_assert_cmpuint(finish(&fixture), ==, 0);

                put_disk(&fixture, open("/dev/zero", O_RDWR | O_CLOEXEC), want_uring);  /* it cannot be flushed, and the guest hears of that */
                fixture.request = (struct request) { .action = REQUEST_FLUSH };
                io_start(&fixture.io, &fixture.request);
                g_assert_cmpuint(finish(&fixture), !=, 0);
                end(&fixture);
        }
}

/* A guest without a write cache has each write on the disk before it is answered. */
static void test_write_through(void) {
        struct fixture fixture;

        for (int i = 0; i < 4; i++) {
                bool want_uring = i & 1, write_back = i & 2;

                begin(&fixture, want_uring, false);
                fixture.disk.write_back = write_back;
                fixture.io.no_cached_writes = true;
                fixture.data[0] = (struct iovec) { fixture.at[0], 4096 };
                write_flags = -1;
                start_transfer(&fixture, REQUEST_WRITE, 0, 1);
                if (fixture.io.has_uring)
                        g_assert_cmpint(last_of_ring(&fixture)->rw_flags, ==, write_back ? 0 : RWF_DSYNC);
                else
                        g_assert_cmpint(write_flags, ==, write_back ? 0 : RWF_DSYNC);
                g_assert_cmpuint(finish(&fixture), ==, 0);
                write_flags = 0;
                fixture.io.no_cached_writes = false;    /* nor is it left to the page cache */
                start_transfer(&fixture, REQUEST_WRITE, 0, 1);
                g_assert_cmpint(!write_back && write_flags & RWF_NOWAIT, ==, 0);
                g_assert_cmpuint(finish(&fixture), ==, 0);
                end(&fixture);
        }
}

static uint64_t count_blocks(const struct fixture *fixture) {
        struct stat st;

        g_assert_cmpint(fstat(fixture->disk.fd, &st), ==, 0);
        return (uint64_t) st.st_blocks;
}

/* Zeros in the range, and nowhere else. A hole takes no space. */
static void make_zeros(struct fixture *fixture, enum request_action action) {
        uint8_t before[16384], after[16384];
        uint64_t blocks;

        memset(before, 'x', sizeof before);
        g_assert_cmpint(pwrite(fixture->disk.fd, before, sizeof before, 0), ==, sizeof before);
        blocks = count_blocks(fixture);
        n_syncs = 0;
        fixture->request = (struct request) { .action = action, .offset = 4096, .length = 8192 };
        io_start(&fixture->io, &fixture->request);
        g_assert_cmpuint(finish(fixture), ==, 0);
        g_assert_cmpint(n_syncs > 0, ==, !fixture->disk.write_back);
        memset(before + 4096, 0, 8192);
        g_assert_cmpint(pread(fixture->disk.fd, after, sizeof after, 0), ==, sizeof after);
        g_assert_cmpmem(after, sizeof after, before, sizeof before);
        if (action == REQUEST_PUNCH)
                g_assert_cmpuint(count_blocks(fixture), <, blocks);
}

/* Of a file in memory: there it makes holes, and zeros have to be written. */
static void test_ranges(void) {
        struct fixture fixture;

        for (int i = 0; i < 4; i++) {
                begin(&fixture, i & 1, false);
                put_disk(&fixture, memfd_create("test-io-disk", MFD_CLOEXEC), i & 1);
                g_assert_cmpint(ftruncate(fixture.disk.fd, DISK_BYTES), ==, 0);
                fixture.disk.write_back = i & 2;
                make_zeros(&fixture, REQUEST_PUNCH);
                make_zeros(&fixture, REQUEST_ZERO);
                end(&fixture);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/io/in-the-thread", test_plain);
        g_test_add_func("/io/with-io-uring", test_uring);
        g_test_add_func("/io/with-pinned-memory", test_pinned);
        g_test_add_func("/io/with-memory-that-cannot-be-pinned", test_refused);
        g_test_add_func("/io/flush", test_flush);
        g_test_add_func("/io/write-through", test_write_through);
        g_test_add_func("/io/zeros-and-holes", test_ranges);
        return g_test_run();
}
