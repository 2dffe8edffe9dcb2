/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Copying: from a file or a descriptor to a file or a descriptor.
 *
 * What is all zeros is not written to a file, whose part in question reads as zeros already: a copy is as sparse as it can be. Of a
 * file, holes are not even read. A whole file is shared with its copy instead if the file system can do that (reflink).
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define BUFFER_SIZE (UINT64_C(1) << 20)
#define ZERO_BLOCK 4096u                /* what is worth leaving out: a block of most file systems */
#define SECTOR 512u

struct end {
        int fd;
        bool is_stream;                 /* read() and write(), where it is: descriptors of the caller */
        bool is_file;                   /* may have holes */
        uint64_t offset;
        const char *name;
};

struct copy {
        struct end from, to;
        uint64_t length;                /* UINT64_MAX: up to the end */
        uint64_t max;                   /* more than this is refused */
        uint64_t total;                 /* for progress: 0 if it is not known */
        uint64_t done;
        uint8_t *buffer;
};

/* The caller's descriptor may be non-blocking, and that is not ours to change: its other holders would notice. */
static int wait_for(int fd, short events) {
        struct pollfd p = { fd, events, 0 };

        return poll(&p, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

/* Up to n bytes, fewer only at the end. */
static int read_full(struct copy *copy, size_t n, size_t *ret_n) {
        size_t got = 0;
        int r;

        while (got < n) {
                ssize_t k = copy->from.is_stream
                                    ? read(copy->from.fd, copy->buffer + got, n - got)
                                    : pread(copy->from.fd, copy->buffer + got, n - got, (off_t) (copy->from.offset + copy->done + got));

                if (k == 0)
                        break;
                if (k > 0)
                        got += (size_t) k;
                else if (errno == EAGAIN) {
                        r = wait_for(copy->from.fd, POLLIN);
                        if (r < 0)
                                return r;
                } else if (errno != EINTR)
                        return -errno;
        }
        *ret_n = got;
        return 0;
}

static int write_stream(int fd, const uint8_t *data, size_t n) {
        int r;

        while (n > 0) {
                ssize_t k = write(fd, data, n);

                if (k > 0) {
                        data += k;
                        n -= (size_t) k;
                } else if (k < 0 && errno == EAGAIN) {
                        r = wait_for(fd, POLLOUT);
                        if (r < 0)
                                return r;
                } else if (k < 0 && errno != EINTR)
                        return -errno;
        }
        return 0;
}

static bool is_zero(const uint8_t *data, size_t n) {
        return n > 0 && data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

/* Writes what is not zero, in runs of blocks that are as long as can be. */
static int write_sparse(const struct copy *copy, size_t n) {
        size_t i = 0;
        int r;

        while (i < n) {
                size_t begin, step = n - i < ZERO_BLOCK ? n - i : ZERO_BLOCK;

                if (is_zero(copy->buffer + i, step)) {
                        i += step;
                        continue;
                }
                begin = i;
                do {
                        i += step;
                        step = n - i < ZERO_BLOCK ? n - i : ZERO_BLOCK;
                } while (i < n && !is_zero(copy->buffer + i, step));
                r = io_pwrite(copy->to.fd, copy->buffer + begin, i - begin, copy->to.offset + copy->done + begin);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int copy_buffer(struct copy *copy, size_t n) {
        int r;

        r = copy->to.is_stream ? write_stream(copy->to.fd, copy->buffer, n) : write_sparse(copy, n);
        if (r < 0)
                return io_failed(r, "write %s", copy->to.name);
        copy->done += n;
        if (copy->total > 0)
                io_progress(copy->done < copy->total ? copy->done : copy->total, copy->total);
        return 0;
}

/* A hole of the source need not be read, nor written where it reads as zeros anyway. */
static void skip_hole(struct copy *copy, uint64_t left) {
        off_t at = (off_t) (copy->from.offset + copy->done), data;
        uint64_t n;

        if (!copy->from.is_file || copy->to.is_stream)
                return;
        data = lseek(copy->from.fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
                return;
        n = data < 0 ? left : (uint64_t) (data - at);
        copy->done += n < left ? n : left;
}

static int copy_all(struct copy *copy) {
        for (;;) {
                uint64_t left = copy->length - copy->done;
                size_t n = 0, wanted;
                int r;

                if (copy->length != UINT64_MAX)
                        skip_hole(copy, left);
                left = copy->length - copy->done;
                wanted = left < BUFFER_SIZE ? (size_t) left : BUFFER_SIZE;
                if (wanted == 0)
                        return 0;
                r = read_full(copy, wanted, &n);
                if (r < 0)
                        return io_failed(r, "read %s", copy->from.name);
                if (n > copy->max - copy->done) {
                        printf("failed %d there is more to read than the %llu bytes that there is room for\n", EFBIG,
                               (unsigned long long) copy->max);
                        return 1;
                }
                if (n > 0 && copy_buffer(copy, n) != 0)
                        return 1;
                if (n < wanted)
                        return copy->length == UINT64_MAX ? 0 : io_failed(-ENODATA, "read all of %s", copy->from.name);
        }
}

static int open_end(struct end *end, char **argv, int flags) {
        uint64_t number;
        struct stat st;

        end->name = argv[1];
        if (strcmp(argv[0], "-") == 0) {
                if (io_number(argv[1], &number) < 0)
                        return 2;
                end->fd = (int) number;
                end->is_stream = true;
                end->name = "what the caller gave";
                return 0;
        }
        if (io_number(argv[2], &end->offset) < 0)
                return 2;
        end->fd = io_open_at_path(argv[0], argv[1], flags, true);
        if (end->fd < 0)
                return io_failed(end->fd, "open %s", argv[1]);
        end->is_file = fstat(end->fd, &st) == 0 && S_ISREG(st.st_mode);
        return 0;
}

/* Shares the blocks of a whole file. 1: done; 0: not here. */
static int reflink(struct copy *copy) {
        uint64_t size;

        if (!copy->from.is_file || !copy->to.is_file || copy->from.offset != 0 || copy->to.offset != 0 ||
            io_size(copy->from.fd, &size) < 0 || size != copy->length || ioctl(copy->to.fd, FICLONE, copy->from.fd) < 0)
                return 0;
        copy->done = copy->length;
        return 1;
}

/* The new file's size: what was asked for, or what there was, in whole sectors. */
static int set_size(struct copy *copy, const char *text) {
        uint64_t final, needed = (copy->done + SECTOR - 1) / SECTOR * SECTOR;

        if (copy->to.is_stream)
                return 0;
        if (strcmp(text, "-") != 0) {
                if (io_number(text, &final) < 0)
                        return 2;
                final = final > needed ? final : needed;
                if (ftruncate(copy->to.fd, (off_t) final) < 0)
                        return io_failed(-errno, "set the size of %s", copy->to.name);
        }
        return fdatasync(copy->to.fd) < 0 ? io_failed(-errno, "write %s to disk", copy->to.name) : 0;
}

/*
 * A directory of - means a descriptor. FINAL: the least size of the new file, for one that grows; - for a range.
 * Prints bytes N: how many there were.
 */
int io_copy(int argc, char **argv) {
        AUTO_FREE uint8_t *buffer = malloc(BUFFER_SIZE);
        struct copy copy = { .from.fd = -1, .to.fd = -1, .length = UINT64_MAX, .buffer = buffer };
        uint64_t size;
        int r;

        if (!buffer)
                return io_failed(-ENOMEM, "copy");
        if ((strcmp(argv[6], "-") != 0 && io_number(argv[6], &copy.length) < 0) || io_number(argv[7], &copy.max) < 0)
                return 2;
        r = open_end(&copy.from, argv, O_RDONLY);
        if (r != 0)
                return r;
        r = open_end(&copy.to, argv + 3, O_RDWR);
        if (r != 0)
                return r;
        if (copy.length != UINT64_MAX)
                copy.total = copy.length;
        else if (io_size(copy.from.fd, &size) >= 0 && size > 0)
                copy.total = size;
        else if (io_number(argv[8], &size) >= 0)        /* a stream may be as long as the disk is to be */
                copy.total = size;
        r = reflink(&copy) ? 0 : copy_all(&copy);
        if (r == 0)
                r = set_size(&copy, argv[8]);
        if (r == 0)
                printf("bytes %llu\n", (unsigned long long) copy.done);
        return r;
}
