/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Random reads of 4 KiB from a disk, so many at a time: guest-reads DEVICE DEPTH, in a guest, whose page cache they do not touch.
 *
 * It is linked statically, as there is no library in that guest, and makes Linux's own asynchronous calls for the same reason.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rounds.h"

#define PROGRAM "guest-reads"
#define SIZE 4096u
#define DEPTH_MAX 64u

struct reader {
        int fd;
        aio_context_t context;
        uint64_t n_blocks, random;
        unsigned depth;
        uint8_t *buffers;
};

static int begin(struct reader *reader, uint64_t slot) {
        struct iocb control = { .aio_data = slot, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_fildes = (uint32_t) reader->fd,
                                .aio_buf = (uintptr_t) (reader->buffers + slot * SIZE), .aio_nbytes = SIZE };
        struct iocb *controls[] = { &control };

        /* xorshift: any will do, as long as it is the same for both guests */
        reader->random ^= reader->random << 13;
        reader->random ^= reader->random >> 7;
        reader->random ^= reader->random << 17;
        control.aio_offset = (int64_t) (reader->random % reader->n_blocks * SIZE);
        return syscall(SYS_io_submit, reader->context, 1, controls) == 1 ? 0 : -errno;
}

static int operate(void *userdata, uint64_t n) {
        struct reader *reader = userdata;
        struct io_event events[DEPTH_MAX];
        uint64_t n_begun = 0, n_done = 0;
        int r = 0;

        for (; r == 0 && n_begun < reader->depth && n_begun < n; n_begun++)
                r = begin(reader, n_begun);
        while (r == 0 && n_done < n) {
                long got = syscall(SYS_io_getevents, reader->context, 1, DEPTH_MAX, events, NULL);

                if (got < 0 && errno != EINTR)
                        return -errno;
                for (long i = 0; i < got && r == 0; i++, n_done++) {
                        if (events[i].res != SIZE)
                                return -EIO;
                        if (n_begun < n) {
                                r = begin(reader, events[i].data);
                                n_begun++;
                        }
                }
        }
        return r;
}

int main(int argc, char **argv) {
        struct reader reader = { .random = 88172645463325252 };

        if (argc != 3)
                return 2;
        reader.depth = (unsigned) atoi(argv[2]);
        if (reader.depth == 0 || reader.depth > DEPTH_MAX)
                return 2;
        reader.fd = open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC);
        if (reader.fd < 0)
                return rounds_fail(PROGRAM, argv[1]);
        reader.n_blocks = (uint64_t) lseek(reader.fd, 0, SEEK_END) / SIZE;
        reader.buffers = aligned_alloc(SIZE, (size_t) reader.depth * SIZE);
        if (reader.n_blocks == 0 || !reader.buffers || syscall(SYS_io_setup, DEPTH_MAX, &reader.context) < 0)
                return rounds_fail(PROGRAM, "cannot begin");
        return rounds_serve(PROGRAM, operate, &reader);
}
