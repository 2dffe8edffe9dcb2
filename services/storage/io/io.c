/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"
#include "qcow2-header.h"

#define PROGRESS_PARTS 256u             /* finer than that, nobody is told */
#define ZERO_STEP (UINT64_C(64) << 20)          /* so that there is progress to tell */
#define ZERO_BUFFER (UINT64_C(1) << 20)

/* Saying */

int io_failed(int r, const char *format, ...) {
        va_list args;

        printf("failed %d ", -r);
        va_start(args, format);
        vprintf(format, args);
        va_end(args);
        printf(": %s\n", strerrordesc_np(-r) ?: "unknown error");
        return 1;
}

int io_unreachable(int r, const char *what) {
        printf("unreachable %s: %s\n", what, strerrordesc_np(-r) ?: "unknown error");
        return 1;
}

void io_progress(uint64_t done, uint64_t total) {
        static uint64_t last;                   /* the program has one thing to do */
        uint64_t step = total / PROGRESS_PARTS;

        if (done < total && done - last < step)
                return;
        last = done;
        printf("progress %llu %llu\n", (unsigned long long) done, (unsigned long long) total);
}

int io_number(const char *text, uint64_t *ret_number) {
        unsigned long long number;
        char *end;

        if (*text < '0' || *text > '9')
                return -EINVAL;
        errno = 0;
        number = strtoull(text, &end, 10);
        if (*end != '\0' || errno != 0)
                return -EINVAL;
        *ret_number = number;
        return 0;
}

/* Opening */

int io_open_directory(const char *path) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

int io_open(int directory, const char *name, int flags, bool may_be_device) {
        const struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY),       /* a FIFO must not stop us */
                .mode = flags & O_CREAT ? 0600 : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
        };
        struct stat st;
        int fd;

        fd = (int) syscall(SYS_openat2, directory, name, &how, sizeof how);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || (may_be_device && S_ISBLK(st.st_mode)))) {
                close(fd);
                return -EMEDIUMTYPE;
        }
        return fd;
}

int io_open_at_path(const char *directory, const char *name, int flags, bool may_be_device) {
        AUTO_CLOSE int fd = io_open_directory(directory);

        return fd < 0 ? fd : io_open(fd, name, flags, may_be_device);
}

int io_size(int fd, uint64_t *ret_size) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (S_ISBLK(st.st_mode))
                return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
        *ret_size = (uint64_t) st.st_size;
        return 0;
}

/* Reading and writing */

int io_pread(int fd, void *data, size_t n, uint64_t offset) {
        uint8_t *p = data;

        while (n > 0) {
                ssize_t done = pread(fd, p, n, (off_t) offset);

                if (done < 0 && errno == EINTR)
                        continue;
                if (done <= 0)
                        return done < 0 ? -errno : -ENODATA;
                p += done;
                n -= (size_t) done;
                offset += (uint64_t) done;
        }
        return 0;
}

int io_pwrite(int fd, const void *data, size_t n, uint64_t offset) {
        const uint8_t *p = data;

        while (n > 0) {
                ssize_t done = pwrite(fd, p, n, (off_t) offset);

                if (done < 0 && errno == EINTR)
                        continue;
                if (done <= 0)
                        return done < 0 ? -errno : -EIO;
                p += done;
                n -= (size_t) done;
                offset += (uint64_t) done;
        }
        return 0;
}

static int write_zeros(int fd, uint64_t offset, uint64_t length) {
        AUTO_FREE void *zeros = calloc(1, ZERO_BUFFER);
        int r;

        if (!zeros)
                return -ENOMEM;
        while (length > 0) {
                uint64_t n = length < ZERO_BUFFER ? length : ZERO_BUFFER;

                r = io_pwrite(fd, zeros, n, offset);
                if (r < 0)
                        return r;
                offset += n;
                length -= n;
        }
        return 0;
}

/* A hole if there can be one: nothing is promised to a disk that nobody has written. */
static int zero_step(int fd, bool is_device, uint64_t offset, uint64_t length) {
        uint64_t range[2] = { offset, length };

        if (!is_device && fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t) offset, (off_t) length) == 0)
                return 0;
        if (is_device && ioctl(fd, BLKZEROOUT, range) == 0)
                return 0;
        if (errno != EOPNOTSUPP && errno != ENOTTY && errno != EINVAL)
                return -errno;
        return write_zeros(fd, offset, length);
}

int io_zero_range(int fd, uint64_t offset, uint64_t length) {
        uint64_t done = 0;
        struct stat st;
        int r;

        if (fstat(fd, &st) < 0)
                return -errno;
        while (done < length) {
                uint64_t n = length - done < ZERO_STEP ? length - done : ZERO_STEP;

                if (S_ISREG(st.st_mode))
                        n = length - done;      /* a hole is quick, however large */
                r = zero_step(fd, S_ISBLK(st.st_mode), offset + done, n);
                if (r < 0)
                        return r;
                done += n;
                io_progress(done, length);
        }
        return 0;
}

int io_allocated(int fd, uint64_t offset, uint64_t length, uint64_t *ret_bytes) {
        off_t at = (off_t) offset, end = (off_t) (offset + length);
        uint64_t bytes = 0;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode)) {
                *ret_bytes = length;
                return 0;
        }
        while (at < end) {
                off_t data = lseek(fd, at, SEEK_DATA), hole;

                if (data < 0 && errno != ENXIO)
                        return -errno;
                if (data < 0 || data >= end)
                        break;
                hole = lseek(fd, data, SEEK_HOLE);
                if (hole < 0)
                        return -errno;
                bytes += (uint64_t) ((hole < end ? hole : end) - data);
                at = hole;
        }
        *ret_bytes = bytes;
        return 0;
}

int io_read_qcow2(int fd, uint64_t offset, const char *name, struct qcow2_header *ret_header) {
        AUTO_FREE uint8_t *untrusted_data = malloc(QCOW2_HEADER_MAX);
        const char *reason;
        ssize_t n;

        if (!untrusted_data)
                return io_failed(-ENOMEM, "read %s", name);
        n = pread(fd, untrusted_data, QCOW2_HEADER_MAX, (off_t) offset);
        if (n < 0)
                return io_failed(-errno, "read %s", name);
        if (qcow2_header_decode(untrusted_data, (size_t) n, ret_header, &reason) < 0) {
                printf("failed %d %s\n", EUCLEAN, reason);
                return 1;
        }
        return 0;
}

/* Verbs that are the same for all storage repositories */

int io_zero(int argc, char **argv) {
        AUTO_CLOSE int fd = -1;
        uint64_t offset, length;
        int r;

        if (io_number(argv[2], &offset) < 0 || io_number(argv[3], &length) < 0)
                return 2;
        fd = io_open_at_path(argv[0], argv[1], O_RDWR, true);
        if (fd < 0)
                return io_failed(fd, "open %s", argv[1]);
        r = io_zero_range(fd, offset, length);
        if (r >= 0 && fdatasync(fd) < 0)
                r = -errno;
        return r < 0 ? io_failed(r, "clear a part of %s", argv[1]) : 0;
}

int io_sync(int argc, char **argv) {
        AUTO_CLOSE int fd = io_open_at_path(argv[0], argv[1], O_RDONLY, true);

        if (fd < 0)
                return io_failed(fd, "open %s", argv[1]);
        return fsync(fd) < 0 ? io_failed(-errno, "write %s to disk", argv[1]) : 0;
}

/* An image from elsewhere: size SIZE. It may name no other file. */
int io_qcow2_check(int argc, char **argv) {
        AUTO_CLOSE int fd = -1;
        struct qcow2_header header;
        uint64_t offset;

        if (io_number(argv[2], &offset) < 0)
                return 2;
        fd = io_open_at_path(argv[0], argv[1], O_RDONLY, true);
        if (fd < 0)
                return io_failed(fd, "open %s", argv[1]);
        if (io_read_qcow2(fd, offset, argv[1], &header) != 0)
                return 1;
        if (header.has_backing) {
                printf("failed %d it has a backing file\n", EUCLEAN);
                return 1;
        }
        printf("size %llu\n", (unsigned long long) header.size);
        return 0;
}
