/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests of a block device, cut in every way; disks and their sizes; rates. */

#include <errno.h>
#include <glib.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk-counters.h"
#include "request.h"

#define SECTORS 100u

static struct disk make_disk(void) {
        return (struct disk) { .fd = -1, .offset = 4096, .size = SECTORS * DISK_SECTOR, .serial = "01234567890123456789", .n_queues = 1, .block_size = 512 };
}

struct memory {
        struct virtio_blk_outhdr header;
        uint8_t out[64];
        uint8_t in[2048];
};

/* Cuts what is read at one place and what is written at another; 0: not at all. */
static int parse(struct request *request, const struct disk *disk, struct memory *memory, size_t n_out, size_t n_in, size_t cut_out, size_t cut_in) {
        struct vhost_chain *chain = &request->chain;

        memset(request, 0, sizeof *request);
        chain->iov = request->iov;
        request->iov[chain->n_out++] = (struct iovec) { memory, cut_out > 0 ? cut_out : n_out };
        if (cut_out > 0)
                request->iov[chain->n_out++] = (struct iovec) { (uint8_t *) memory + cut_out, n_out - cut_out };
        if (n_in > 0)
                request->iov[chain->n_out + chain->n_in++] = (struct iovec) { memory->in, cut_in > 0 ? cut_in : n_in };
        if (cut_in > 0)
                request->iov[chain->n_out + chain->n_in++] = (struct iovec) { memory->in + cut_in, n_in - cut_in };
        chain->n_out_bytes = n_out;
        chain->n_in_bytes = n_in;
        return request_parse(request, disk);
}

static void test_every_cut(void) {
        struct disk disk = make_disk();
        struct request request;
        struct memory memory = { .header = { .type = htole32(VIRTIO_BLK_T_IN), .sector = htole64(3) } };

        for (size_t cut_out = 0; cut_out < 16; cut_out++)
                for (size_t cut_in = 0; cut_in < 513; cut_in++) {
                        size_t n = 0;

                        g_assert_cmpint(parse(&request, &disk, &memory, 16, 513, cut_out, cut_in), ==, 0);
                        g_assert_cmpint(request.action, ==, REQUEST_READ);
                        g_assert_true(request.offset == 4096 + 3 * 512 && request.length == 512);
                        for (size_t i = 0; i < request.n_data; i++)
                                n += request.data[i].iov_len;
                        g_assert_cmpuint(n, ==, 512);
                        g_assert_true(request.status_at == memory.in + 512);
                }
}

static void test_bounds(void) {
        static const struct {
                uint32_t type;
                uint64_t sector;
                size_t n_in;
                int action, status;
        } cases[] = {
                { VIRTIO_BLK_T_IN, SECTORS - 1, 512, REQUEST_READ, 0 },
                { VIRTIO_BLK_T_IN, SECTORS, 512, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_IN, SECTORS - 1, 1024, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_IN, UINT64_MAX, 512, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_IN, 0, 511, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_IN, SECTORS, 0, REQUEST_ANSWER, VIRTIO_BLK_S_OK },
                { VIRTIO_BLK_T_FLUSH, 77, 0, REQUEST_FLUSH, 0 },
                { VIRTIO_BLK_T_SECURE_ERASE, 0, 0, REQUEST_ANSWER, VIRTIO_BLK_S_UNSUPP },
        };
        struct disk disk = make_disk();
        struct request request;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct memory memory = { .header = { .type = htole32(cases[i].type), .sector = htole64(cases[i].sector) } };

                g_assert_cmpint(parse(&request, &disk, &memory, 16, cases[i].n_in + 1, 0, 0), ==, 0);
                g_assert_cmpint(request.action, ==, cases[i].action);
                if (request.action == REQUEST_ANSWER) {
                        g_assert_cmpint(request.status, ==, cases[i].status);
                        g_assert_cmpuint(request.n_written, ==, cases[i].n_in == 0);
                        continue;
                }
                request_end(&request, 0);
                g_assert_cmpuint(request.n_written, ==, cases[i].n_in + 1);
                request_end(&request, -EIO);
                g_assert_cmpuint(request.n_written, ==, cases[i].n_in == 0);
                g_assert_cmpint(request.status, ==, VIRTIO_BLK_S_IOERR);
        }
        g_assert_cmpint(parse(&request, &disk, &(struct memory) { .header.type = htole32(VIRTIO_BLK_T_OUT) }, 16 + 512, 1, 0, 0), ==, 0);
        g_assert_cmpint(request.action, ==, REQUEST_WRITE);
        disk.read_only = true;
        g_assert_cmpint(parse(&request, &disk, &(struct memory) { .header.type = htole32(VIRTIO_BLK_T_OUT) }, 16 + 512, 1, 0, 0), ==, 0);
        g_assert_true(request.action == REQUEST_ANSWER && request.status == VIRTIO_BLK_S_IOERR);
        g_assert_cmpint(parse(&request, &disk, &(struct memory) {}, 15, 1, 0, 0), ==, -EPROTO);
        g_assert_cmpint(parse(&request, &disk, &(struct memory) {}, 16, 0, 0, 0), ==, -EPROTO);
}

static void test_ranges(void) {
        static const struct {
                uint32_t type, flags, n_sectors;
                size_t size;
                int action, status;
        } cases[] = {
                { VIRTIO_BLK_T_DISCARD, 0, SECTORS, 16, REQUEST_PUNCH, 0 },
                { VIRTIO_BLK_T_DISCARD, 0, SECTORS + 1, 16, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, 0, UINT32_MAX, 16, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_DISCARD, 1, 1, 16, REQUEST_ANSWER, VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_DISCARD, 0, 1, 32, REQUEST_ANSWER, VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_DISCARD, 0, 1, 8, REQUEST_ANSWER, VIRTIO_BLK_S_IOERR },
                { VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 16, REQUEST_ZERO, 0 },
                { VIRTIO_BLK_T_WRITE_ZEROES, 1, 1, 16, REQUEST_PUNCH, 0 },
                { VIRTIO_BLK_T_WRITE_ZEROES, 3, 1, 16, REQUEST_ANSWER, VIRTIO_BLK_S_UNSUPP },
                { VIRTIO_BLK_T_WRITE_ZEROES, 0, 0, 16, REQUEST_ANSWER, VIRTIO_BLK_S_OK },
        };
        struct disk disk = make_disk();
        struct request request;

        disk.size = UINT64_C(1) << 40;                          /* of more than one may discard at once */
        for (uint32_t n = 0; n < 2; n++) {
                struct memory memory = { .header.type = htole32(VIRTIO_BLK_T_DISCARD) };
                struct virtio_blk_discard_write_zeroes range = { .num_sectors = htole32(DISK_DISCARD_SECTORS_MAX + n) };

                memcpy(memory.out, &range, sizeof range);
                g_assert_cmpint(parse(&request, &disk, &memory, 16 + sizeof range, 1, 0, 0), ==, 0);
                g_assert_cmpint(request.action, ==, n == 0 ? REQUEST_PUNCH : REQUEST_ANSWER);
        }
        disk = make_disk();
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                struct memory memory = { .header.type = htole32(cases[i].type) };
                struct virtio_blk_discard_write_zeroes range = { .num_sectors = htole32(cases[i].n_sectors), .flags = htole32(cases[i].flags) };

                memcpy(memory.out, &range, sizeof range);
                disk.read_only = false;
                g_assert_cmpint(parse(&request, &disk, &memory, 16 + cases[i].size, 1, 3, 0), ==, 0);
                g_assert_cmpint(request.action, ==, cases[i].action);
                if (request.action == REQUEST_ANSWER)
                        g_assert_cmpint(request.status, ==, cases[i].status);
                disk.read_only = true;
                g_assert_cmpint(parse(&request, &disk, &memory, 16 + cases[i].size, 1, 0, 0), ==, 0);
                g_assert_cmpint(request.action, ==, REQUEST_ANSWER);
                g_assert_cmpint(request.status, !=, VIRTIO_BLK_S_OK);
        }
}

static void test_id(void) {
        struct disk disk = make_disk();
        struct request request;
        struct memory memory = { .header.type = htole32(VIRTIO_BLK_T_GET_ID) };

        for (size_t n = 0; n < 30; n++) {
                memset(memory.in, 'x', sizeof memory.in);
                g_assert_cmpint(parse(&request, &disk, &memory, 16, n + 1, 0, n / 2), ==, 0);
                request_answer(&request);
                g_assert_cmpuint(request.n_written, ==, n <= 20 ? n + 1 : 20);  /* between these and the status nothing was written */
                g_assert_cmpint(memcmp(memory.in, disk.serial, MIN(n, 20)), ==, 0);
                g_assert_cmpint(memory.in[n], ==, 0);
                if (n > 20)
                        g_assert_cmpint(memory.in[20], ==, 'x');
        }
}

static void test_disk(void) {
        char path[] = "/tmp/test-disk-XXXXXX", directory[] = "/tmp/test-disks-XXXXXX";
        int fd = mkstemp(path);
        struct disk disk;
        struct disk_spec spec = { .file = path, .serial = "a", .offset = 1024, .size = 1024, .block_size = 512, .n_queues = 1 };

        g_assert_cmpint(ftruncate(fd, 4096 + 100), ==, 0);
        g_assert_cmpint(disk_open(&disk, &spec), ==, 0);
        g_assert_cmpuint(disk.size, ==, 1024);
        g_assert_cmpint(disk_resize(&disk, 3072 + 200), ==, -EINVAL);   /* more than the file has */
        g_assert_cmpint(disk_resize(&disk, 0), ==, -EINVAL);
        g_assert_cmpint(disk_resize(&disk, 512), ==, -EPERM);
        g_assert_cmpint(disk_resize(&disk, 3072), ==, 0);
        disk_close(&disk);
        spec.offset = spec.size = 0;
        g_assert_cmpint(disk_open(&disk, &spec), ==, 0);
        g_assert_cmpuint(disk.size, ==, 4096);                          /* whole sectors */
        g_assert_cmpint(ftruncate(fd, 8192), ==, 0);
        g_assert_cmpint(disk_resize(&disk, 0), ==, 0);
        g_assert_cmpuint(disk.size, ==, 8192);
        disk_close(&disk);
        spec.offset = 10000;
        g_assert_cmpint(disk_open(&disk, &spec), ==, -ERANGE);

        g_assert_nonnull(mkdtemp(directory));
        spec = (struct disk_spec) { .directory = directory, .file = path + 5, .serial = "" };
        g_assert_cmpint(disk_open(&disk, &spec), ==, -ENOENT);
        spec.file = "../etc/passwd";
        g_assert_cmpint(disk_open(&disk, &spec), ==, -EXDEV);
        rmdir(directory);
        unlink(path);
        close(fd);
}

/* What the guest is told of the blocks below: as large as those of the file system, up to a page. */
static void test_topology(void) {
        char path[] = "/tmp/test-disk-XXXXXX";
        int fd = mkstemp(path);
        struct virtio_blk_config config;
        struct stat st;
        struct disk disk;

        g_assert_cmpint(ftruncate(fd, 1 << 20), ==, 0);
        g_assert_cmpint(fstat(fd, &st), ==, 0);
        for (uint32_t block = 512; block <= 4096; block *= 8) {
                struct disk_spec spec = { .file = path, .serial = "", .block_size = block, .n_queues = 1 };

                g_assert_cmpint(disk_open(&disk, &spec), ==, 0);
                disk_get_config(&disk, 0, (uint8_t *) &config, DISK_CONFIG_SIZE);
                g_assert_cmpuint(config.blk_size, ==, block);
                g_assert_cmpuint(block << config.physical_block_exp, ==, MAX(block, MIN(st.st_blksize, 4096)));
                g_assert_cmpuint(config.min_io_size, ==, 1);
                disk_close(&disk);
                spec.offset = 512;                                      /* a range that is not aligned */
                g_assert_cmpint(disk_open(&disk, &spec), ==, 0);
                disk_get_config(&disk, 0, (uint8_t *) &config, DISK_CONFIG_SIZE);
                g_assert_cmpuint(config.physical_block_exp, ==, 0);
                disk_close(&disk);
        }
        unlink(path);
        close(fd);
}

static void test_rate(void) {
        struct rate rate;

        rate_init(&rate, 0, 0);
        rate_take(&rate, 1 << 30, 0);
        g_assert_cmpuint(rate_wait(&rate, 0), ==, 0);
        rate_init(&rate, 100, 1000000);
        rate_take(&rate, 512, 1000000);                 /* a request costs 10 ms, of which 100 ms were kept */
        g_assert_cmpuint(rate_wait(&rate, 1000000), ==, 0);
        for (int i = 0; i < 10; i++)
                rate_take(&rate, 512, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1000000), ==, 10000);
        g_assert_cmpuint(rate_wait(&rate, 1010000), ==, 0);
        rate_take(&rate, 500000, 1010000);              /* bytes are what is dear about it */
        g_assert_cmpuint(rate_wait(&rate, 1010000), ==, 500000);
}

/* In which a request costs 1.67 us, so that whole ones would let two thirds more pass. */
static void test_high_rate(void) {
        struct rate rate;

        rate_init(&rate, 600000, 0);
        for (int i = 0; i < 120000; i++)
                rate_take(&rate, 512, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1000000), >, 99000);  /* of 200 ms, 100 ms were kept */
        g_assert_cmpuint(rate_wait(&rate, 1000000), <=, 100000);
        g_assert_cmpuint(rate_wait(&rate, 1100000), ==, 0);
}

static void test_other_rates(void) {
        struct rate rate;

        rate_init(&rate, 1, 0);
        for (int i = 0; i < 100; i++)
                rate_take(&rate, 512, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1000000), >, 90000000);
        rate_set(&rate, 100, 0);                        /* nobody pays the debts of other times */
        g_assert_cmpuint(rate_wait(&rate, 1000000), ==, 0);
        for (int i = 0; i < 11; i++)
                rate_take(&rate, 512, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1000000), ==, 10000);
        rate_set(&rate, 0, 0);
        rate_take(&rate, 1 << 30, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1000000), ==, 0);
        rate_set(&rate, RATE_REQUESTS_MAX, INT64_MAX);
        rate_take(&rate, UINT32_MAX, 1000000);
        g_assert_cmpuint(rate_wait(&rate, 1100000), ==, 0);
}

static void test_counters(void) {
        char path[] = "/tmp/test-vhost-blk-XXXXXX";
        int fd = mkstemp(path);
        disk_counters_line *mine, *others;

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(ftruncate(fd, DISK_COUNTERS_SIZE - 1), ==, 0);
        g_assert_cmpint(disk_counters_map(fd, &mine), ==, -EINVAL);
        g_assert_cmpint(ftruncate(fd, DISK_COUNTERS_SIZE), ==, 0);
        g_assert_cmpint(disk_counters_map(fd, &mine), ==, 0);
        g_assert_cmpint(disk_counters_map(fd, &others), ==, 0);
        mine[0][DISK_READS] = 1;
        mine[DISK_COUNTERS_LINES - 1][DISK_READS] += 2;
        mine[7][DISK_WRITES] = UINT64_C(1) << 40;
        g_assert_cmpuint(disk_counters_sum(others, DISK_READS), ==, 3);
        g_assert_cmpuint(disk_counters_sum(others, DISK_WRITES), ==, UINT64_C(1) << 40);
        g_assert_cmpuint(disk_counters_sum(others, DISK_ERRORS), ==, 0);
        disk_counters_unmap(mine);
        disk_counters_unmap(others);
        g_assert_cmpint(disk_counters_map(-1, &mine), ==, 0);
        g_assert_cmpuint(disk_counters_sum(mine, DISK_READS), ==, 0);
        disk_counters_unmap(mine);
        unlink(path);
        close(fd);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/request/every-cut", test_every_cut);
        g_test_add_func("/request/bounds", test_bounds);
        g_test_add_func("/request/ranges", test_ranges);
        g_test_add_func("/request/id", test_id);
        g_test_add_func("/disk/ranges-and-sizes", test_disk);
        g_test_add_func("/disk/topology", test_topology);
        g_test_add_func("/rate/debt", test_rate);
        g_test_add_func("/rate/of-fractions-of-a-microsecond", test_high_rate);
        g_test_add_func("/rate/other-rates-forgive", test_other_rates);
        g_test_add_func("/counters/lent-memory", test_counters);
        return g_test_run();
}
