/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The I/O of one queue's thread. */

#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define ZEROES_SIZE (1u << 20)          /* of a write, where a file system cannot make zeros itself */

enum {                                  /* user data of what is no request */
        TAG_KICK = 1,
        TAG_WAKE,
        TAG_CANCEL,
};

/* What a filter of system calls does not see (sandbox.h): the ring does what is submitted here, to the one file that it has and to descriptors to be polled. */
static int restrict_ring(struct io_uring *uring) {
        static const uint8_t operations[] = { IORING_OP_READV,  IORING_OP_WRITEV,   IORING_OP_FSYNC,       IORING_OP_FALLOCATE,
                                              IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT,
                                              IORING_OP_READ_FIXED, IORING_OP_WRITE_FIXED };
        struct io_uring_restriction restrictions[sizeof operations + 3] = {
                { .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE },
                { .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_REGISTER_ENABLE_RINGS },
                { .opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_UNREGISTER_BUFFERS },
        };
        unsigned n = sizeof restrictions / sizeof *restrictions;

        for (size_t i = 0; i < sizeof operations; i++)
                restrictions[i + 3] = (struct io_uring_restriction) { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = operations[i] };
        /* Not by liburing's functions for it, which Debian 12's library has in its header and nowhere else. */
        if (syscall(SYS_io_uring_register, uring->ring_fd, IORING_REGISTER_RESTRICTIONS, restrictions, n) < 0 ||
            syscall(SYS_io_uring_register, uring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
                return -errno;
        return 0;
}

/* Where it cannot be pinned, the disk works all the same: that is said once. */
static void pin(struct io *io, const struct vhost_memory *memory) {
        int r = fixed_init(&io->fixed, memory);

        if (r >= 0 && io->fixed.n == 0)
                return;
        if (r >= 0)
                r = io_uring_register_buffers(&io->uring, io->fixed.buffers, io->fixed.n);
        if (r >= 0) {
                io->disk->pinned_bytes += fixed_bytes(&io->fixed);
                return;
        }
        if (!atomic_exchange(&io->disk->pin_refused, true))
                fprintf(stderr, "xcp-vhost-blk: goes on without pinning the guest's memory: %s\n", strerror(-r));
        fixed_done(&io->fixed);
}

/* Not left to the end of the ring, which the kernel does later: a successor needs what the limit of locked memory has. */
static void unpin(struct io *io) {
        if (io->fixed.n > 0) {
                io_uring_unregister_buffers(&io->uring);
                io->disk->pinned_bytes -= fixed_bytes(&io->fixed);
        }
        fixed_done(&io->fixed);
}

int io_init(struct io *io, struct disk *disk, const struct vhost_memory *memory, unsigned n, bool want_uring) {
        struct io_uring_params params = { .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED };
        int r;

        *io = (struct io) { .disk = disk, .ended_end = &io->ended };
        if (!want_uring)
                return 0;
        r = io_uring_queue_init_params(n + 8, &io->uring, &params);
        if (r == -EINVAL)               /* a kernel before 6.1 */
                r = io_uring_queue_init(n + 8, &io->uring, IORING_SETUP_R_DISABLED);
        if (r < 0)
                return r;
        if (memory)
                pin(io, memory);
        r = io_uring_register_files(&io->uring, &disk->fd, 1);
        if (r >= 0)
                r = restrict_ring(&io->uring);
        if (r < 0) {
                unpin(io);
                io_uring_queue_exit(&io->uring);
                return r;
        }
        io->has_uring = true;
        return 0;
}

void io_done(struct io *io) {
        if (io->has_uring) {
                unpin(io);
                io_uring_queue_exit(&io->uring);
        }
        io->has_uring = false;
}

static void append(struct io *io, struct request *request) {
        request->next = NULL;
        *io->ended_end = request;
        io->ended_end = &request->next;
}

static void ended(struct io *io, struct request *request, int r) {
        request_end(request, r);
        append(io, request);
}

/* Does the rest of a read or write, from byte done on, in this thread. */
static int finish_transfer(const struct io *io, const struct request *request, uint64_t done, int flags) {
        while (done < request->length) {
                struct iovec piece = {};
                uint64_t skip = done;
                ssize_t n;

                for (size_t i = 0; i < request->n_data; i++) {
                        if (skip < request->data[i].iov_len) {
                                piece = (struct iovec) { (uint8_t *) request->data[i].iov_base + skip, request->data[i].iov_len - skip };
                                break;
                        }
                        skip -= request->data[i].iov_len;
                }
                n = request->action == REQUEST_READ ?
                            preadv2(io->disk->fd, &piece, 1, (off_t) (request->offset + done), 0) :
                            pwritev2(io->disk->fd, &piece, 1, (off_t) (request->offset + done), flags);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;   /* the file has become shorter behind our back */
                done += (uint64_t) n;
        }
        return 0;
}

static int write_zeroes(const struct io *io, const struct request *request) {
        static const uint8_t zeroes[ZEROES_SIZE];
        uint64_t done = 0;

        while (done < request->length) {
                size_t n = request->length - done < ZEROES_SIZE ? request->length - done : ZEROES_SIZE;
                ssize_t k = pwrite(io->disk->fd, zeroes, n, (off_t) (request->offset + done));

                if (k < 0 && errno != EINTR)
                        return -errno;
                done += k > 0 ? (uint64_t) k : 0;
        }
        return 0;
}

static int fallocate_mode(const struct request *request) {
        return FALLOC_FL_KEEP_SIZE | (request->action == REQUEST_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

/* A hole or zeros that the file system cannot make are written: DISCARD would not need it, but nobody expects old data after WRITE_ZEROES. */
static int after_fallocate(const struct io *io, const struct request *request, int r) {
        if (r != -EOPNOTSUPP)
                return r;
        r = write_zeroes(io, request);
        return r < 0 || io->disk->write_back ? r : fdatasync(io->disk->fd) < 0 ? -errno : 0;
}

static int rw_flags(const struct io *io, const struct request *request) {
        return request->action == REQUEST_WRITE && !io->disk->write_back ? RWF_DSYNC : 0;
}

static int do_now(struct io *io, struct request *request) {
        int r = 0;

        switch (request->action) {
        case REQUEST_READ:
        case REQUEST_WRITE:
                return finish_transfer(io, request, 0, rw_flags(io, request));
        case REQUEST_FLUSH:
                return fdatasync(io->disk->fd) < 0 ? -errno : 0;
        case REQUEST_PUNCH:
        case REQUEST_ZERO:
                if (fallocate(io->disk->fd, fallocate_mode(request), (off_t) request->offset, (off_t) request->length) < 0)
                        r = -errno;
                else if (!io->disk->write_back && fdatasync(io->disk->fd) < 0)
                        r = -errno;
                return after_fallocate(io, request, r);
        case REQUEST_ANSWER:
                break;
        }
        return 0;
}

/* What needs no disk: bytes in the page cache. Returns whether all of it is done. */
static bool do_cached(struct io *io, struct request *request) {
        bool *cannot = request->action == REQUEST_READ ? &io->no_cached_reads : &io->no_cached_writes;
        ssize_t n;

        if (*cannot)
                return false;
        if (request->action == REQUEST_READ)
                n = preadv2(io->disk->fd, request->data, (int) request->n_data, (off_t) request->offset, RWF_NOWAIT);
        else if (request->action == REQUEST_WRITE && io->disk->write_back)
                n = pwritev2(io->disk->fd, request->data, (int) request->n_data, (off_t) request->offset, RWF_NOWAIT);
        else
                return false;
        if (n < 0 && errno == EOPNOTSUPP)
                *cannot = true;
        return n >= 0 && (uint64_t) n == request->length;
}

/* A place in the submission queue: there is one once the kernel has taken the others. */
static struct io_uring_sqe *get_sqe(struct io *io) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&io->uring);

        if (!sqe) {
                io_uring_submit(&io->uring);
                sqe = io_uring_get_sqe(&io->uring);
        }
        return sqe;
}

static void prepare_transfer(const struct io *io, struct io_uring_sqe *sqe, const struct request *request) {
        const struct iovec *data = request->data;
        unsigned n = (unsigned) request->n_data;
        int fixed = n == 1 ? fixed_find(&io->fixed, data) : -ENOENT;
        bool is_read = request->action == REQUEST_READ;

        if (fixed < 0 && is_read)
                io_uring_prep_readv(sqe, 0, data, n, request->offset);
        else if (fixed < 0)
                io_uring_prep_writev(sqe, 0, data, n, request->offset);
        else if (is_read)
                io_uring_prep_read_fixed(sqe, 0, data->iov_base, (unsigned) data->iov_len, request->offset, fixed);
        else
                io_uring_prep_write_fixed(sqe, 0, data->iov_base, (unsigned) data->iov_len, request->offset, fixed);
        sqe->rw_flags = rw_flags(io, request);
        if (fixed >= 0)
                io->disk->n_fixed++;
}

static bool submit(struct io *io, struct request *request) {
        struct io_uring_sqe *sqe = get_sqe(io);

        if (!sqe)
                return false;
        switch (request->action) {
        case REQUEST_READ:
        case REQUEST_WRITE:
                prepare_transfer(io, sqe, request);
                break;
        case REQUEST_FLUSH:
                io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
                break;
        default:
                io_uring_prep_fallocate(sqe, 0, fallocate_mode(request), (off_t) request->offset, (off_t) request->length);
        }
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data(sqe, request);
        io->n_in_flight++;
        return true;
}

void io_start(struct io *io, struct request *request) {
        bool is_range = request->action == REQUEST_PUNCH || request->action == REQUEST_ZERO;

        if (request->action == REQUEST_ANSWER)
                append(io, request);
        else if (io->disk->is_null || do_cached(io, request))
                ended(io, request, 0);
        /* Without a write cache, a hole is two steps: rare enough to be done here. */
        else if (!io->has_uring || (is_range && !io->disk->write_back) || !submit(io, request))
                ended(io, request, do_now(io, request));
}

static void complete(struct io *io, struct request *request, int result) {
        int r = result;

        io->n_in_flight--;
        switch (request->action) {
        case REQUEST_READ:
        case REQUEST_WRITE:
                if (result == -EAGAIN || result == -EINTR)
                        result = 0;
                r = result < 0 ? result : finish_transfer(io, request, (uint64_t) result, rw_flags(io, request));
                break;
        case REQUEST_PUNCH:
        case REQUEST_ZERO:
                r = after_fallocate(io, request, result);
                break;
        default:
                break;
        }
        ended(io, request, r);
}

static unsigned reap(struct io *io) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0, events = 0;

        io_uring_for_each_cqe(&io->uring, head, cqe) {
                n++;
                switch (cqe->user_data) {
                case TAG_KICK:
                        io->kick_armed = false;
                        events |= cqe->res > 0 ? IO_KICK : 0;
                        break;
                case TAG_WAKE:
                        io->wake_armed = false;
                        events |= IO_WAKE;
                        break;
                case TAG_CANCEL:
                        break;
                default:
                        complete(io, io_uring_cqe_get_data(cqe), cqe->res);
                }
        }
        io_uring_cq_advance(&io->uring, n);
        return events;
}

static void arm(struct io *io, int fd, bool *armed, uint64_t tag) {
        struct io_uring_sqe *sqe;

        if (*armed || fd < 0)
                return;
        sqe = get_sqe(io);
        if (!sqe)
                return;
        io_uring_prep_poll_add(sqe, fd, POLLIN);
        io_uring_sqe_set_data64(sqe, tag);
        *armed = true;
}

static unsigned wait_plain(int kick_fd, int wake_fd, bool wait, uint64_t timeout_usec) {
        struct pollfd p[2] = { { .fd = wake_fd, .events = POLLIN }, { .fd = kick_fd, .events = POLLIN } };
        struct timespec t = { (time_t) (timeout_usec / 1000000), (long) (timeout_usec % 1000000) * 1000 }, none = {};

        if (ppoll(p, 2, !wait ? &none : timeout_usec == UINT64_MAX ? NULL : &t, NULL) <= 0)
                return 0;
        return (p[0].revents ? IO_WAKE : 0) | (p[1].revents & POLLIN ? IO_KICK : 0);
}

unsigned io_wait(struct io *io, int kick_fd, int wake_fd, bool wait, uint64_t timeout_usec) {
        struct __kernel_timespec t = { (int64_t) (timeout_usec / 1000000), (long long) (timeout_usec % 1000000) * 1000 };
        struct io_uring_cqe *cqe;

        if (!io->has_uring)
                return wait_plain(kick_fd, wake_fd, wait && !io->ended, timeout_usec);
        if (wait && !io->ended) {
                arm(io, wake_fd, &io->wake_armed, TAG_WAKE);
                arm(io, kick_fd, &io->kick_armed, TAG_KICK);
                io_uring_submit_and_wait_timeout(&io->uring, &cqe, 1, timeout_usec == UINT64_MAX ? NULL : &t, NULL);
        } else
                io_uring_submit_and_get_events(&io->uring);
        return reap(io);
}

void io_forget_kick(struct io *io) {
        struct io_uring_sqe *sqe;
        struct io_uring_cqe *cqe;

        if (!io->has_uring || !io->kick_armed)
                return;
        sqe = get_sqe(io);
        if (!sqe)
                return;
        io_uring_prep_poll_remove(sqe, TAG_KICK);
        io_uring_sqe_set_data64(sqe, TAG_CANCEL);
        while (io->kick_armed) {
                io_uring_submit_and_wait_timeout(&io->uring, &cqe, 1, NULL, NULL);
                reap(io);
        }
}
