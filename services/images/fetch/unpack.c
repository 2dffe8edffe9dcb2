/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From what was downloaded to an image: decompressed if it is zstd's (RFC 8878), taken out if it is an archive, looked at, and given its name when it is on the disk.
 *
 * What is zeros in it becomes holes. Whether it is qcow2 is told by its header: that is safe here, since one that names other files is refused,
 * and whoever made the image decides what is in it either way.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zstd.h>

#include "fetch.h"
#include "foreign.h"
#include "pull-limits.h"
#include "qcow2-header.h"

#define BLOCK 65536u                    /* a hole is looked for in pieces of this size */
#define WINDOW_LOG_MAX 27               /* 128 MiB: what zstd itself compresses with, unless --ultra or --long says otherwise */

static bool is_zero(const uint8_t *data, size_t n) {
        return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

int image_write(int fd, const void *bytes, size_t n, uint64_t *offset) {
        const uint8_t *data = bytes;

        if (limits_check_size(*offset + n) < 0)
                return -1;
        for (size_t done = 0, part; done < n; done += part) {
                ssize_t written;

                part = n - done < BLOCK ? n - done : BLOCK;
                if (is_zero(data + done, part))
                        continue;
                if (limits_take_room(fd, part) < 0)
                        return -1;
                written = pwrite(fd, data + done, part, (off_t) (*offset + done));
                if (written < 0)
                        return fail_errno("write the image");
                part = (size_t) written;
        }
        *offset += n;
        return 0;
}

/* One read of the input after the other, and for each what comes out of it. */
static int inflate(int from, int to, ZSTD_DCtx *context, uint8_t *input, uint8_t *output) {
        uint64_t read_to = 0, written_to = 0;
        size_t left = 1;                /* 0 at the end of a frame */
        ssize_t n;

        while ((n = pread(from, input, BLOCK, (off_t) read_to)) > 0) {
                ZSTD_inBuffer in = { input, (size_t) n, 0 };

                read_to += (uint64_t) n;
                for (bool more = true; more;) {
                        ZSTD_outBuffer out = { output, 4 * BLOCK, 0 };

                        left = ZSTD_decompressStream(context, &out, &in);
                        if (ZSTD_isError(left))
                                return fail(FAILURE_CORRUPT, "what is compressed with zstd is damaged: %s", ZSTD_getErrorName(left));
                        if (image_write(to, output, out.pos, &written_to) < 0)
                                return -1;
                        more = in.pos < in.size || out.pos == out.size;
                }
        }
        if (n < 0)
                return fail_errno("read what was downloaded");
        if (left != 0)
                return fail(FAILURE_CORRUPT, "what is compressed with zstd ends too early");
        return ftruncate(to, (off_t) written_to) < 0 ? fail_errno("write the image") : 0;
}

static int decompress(int from, int to) {
        ZSTD_DCtx *context = ZSTD_createDCtx();
        uint8_t *input = malloc(BLOCK), *output = malloc(4 * BLOCK);
        int r;

        if (context && input && output && !ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
                r = inflate(from, to, context, input, output);
        } else {
                errno = ENOMEM;
                r = fail_errno("decompress the image");
        }
        ZSTD_freeDCtx(context);
        free(input);
        free(output);
        return r;
}

static bool is_compressed(int fd) {
        static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };
        uint8_t first[sizeof magic];

        return pread(fd, first, sizeof first, 0) == sizeof first && memcmp(first, magic, sizeof magic) == 0;
}

int describe(int fd, const char *digest, bool cached) {
        static uint8_t header[QCOW2_HEADER_MAX];
        struct qcow2_header qcow2 = {};
        const char *reason, *foreign;
        struct stat st;
        ssize_t n;

        n = pread(fd, header, sizeof header, 0);
        if (n < 0 || fstat(fd, &st) < 0)
                return fail_errno("read the image");
        if (n == 0)
                return fail(FAILURE_CORRUPT, "there is nothing in it");
        foreign = foreign_format(header, (size_t) n);
        if (foreign)
                return fail(FAILURE_UNSUPPORTED, "%s", foreign);
        if (n < 4 || memcmp(header, "QFI\xfb", 4) != 0)
                printf("image %s raw %llu %llu %d\n", digest, (unsigned long long) st.st_size, (unsigned long long) st.st_size, cached);
        else if (qcow2_header_decode(header, (size_t) n, &qcow2, &reason) < 0)
                return fail(FAILURE_CORRUPT, "no qcow2 image that is taken: %s", reason);
        else if (qcow2.has_backing)
                return fail(FAILURE_CORRUPT, "the qcow2 image names a backing file");
        else
                printf("image %s qcow2 %llu %llu %d\n", digest, (unsigned long long) qcow2.size, (unsigned long long) st.st_size, cached);
        return 0;
}

/* What is whole is looked at, and named when it is on the disk. */
static int publish(int fd, int directory, const char *name, int images_directory, const char *digest) {
        int r;

        if (fsync(fd) < 0)
                return fail_errno("write the image");
        r = describe(fd, digest, false);
        if (r < 0)
                return r;
        if (renameat(directory, name, images_directory, digest) < 0 || fsync(images_directory) < 0)
                return fail_errno("name the image");
        return 0;
}

int unpack(int partial_directory, const char *partial, int images_directory, const char *digest, bool is_archive) {
        int from = openat(partial_directory, partial, O_RDWR | O_CLOEXEC | O_NOFOLLOW), to, r;
        char name[160];

        if (from < 0)
                return fail_errno("open what was downloaded");
        if (!is_archive && !is_compressed(from)) {
                r = publish(from, partial_directory, partial, images_directory, digest);
                close(from);
                return r;
        }
        snprintf(name, sizeof name, "%s.unpacked", partial);
        to = openat(partial_directory, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (to < 0) {
                close(from);
                return fail_errno("write the image");
        }
        r = is_archive ? archive_extract(from, to) : decompress(from, to);
        if (r == 0)
                r = publish(to, partial_directory, name, images_directory, digest);
        unlinkat(partial_directory, r == 0 ? partial : name, 0);
        close(from);
        close(to);
        return r;
}
