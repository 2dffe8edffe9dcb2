/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "transfer.h"

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int flags_of(const struct transfer *transfer) {
        return transfer->send ? MSG_DONTWAIT | MSG_NOSIGNAL : MSG_DONTWAIT;
}

static void prepare_message(struct transfer *transfer) {
        transfer->message = (struct msghdr) { .msg_iov = transfer->pieces, .msg_iovlen = (size_t) transfer->n_pieces };
}

void transfer_run(struct transfer *transfer) {
        prepare_message(transfer);
        do
                transfer->result = transfer->send ? sendmsg(transfer->fd, &transfer->message, flags_of(transfer))
                                                  : recvmsg(transfer->fd, &transfer->message, flags_of(transfer));
        while (transfer->result < 0 && errno == EINTR);
        if (transfer->result < 0)
                transfer->result = -errno;
}

struct transfers {
        struct io_uring ring;
        bool made;
};

static int restrict_ring(struct io_uring *ring) {
        struct io_uring_restriction restrictions[] = {
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SENDMSG },
                { .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECVMSG },
                { .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = 0 },
        };

        /* Debian's liburing 2.3 declares functions for these two, and does not have them. */
        if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, restrictions,
                    sizeof restrictions / sizeof restrictions[0]) < 0 ||
            syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) < 0)
                return -errno;
        return 0;
}

int transfers_new(struct transfers **ret_transfers) {
        struct transfers *transfers = calloc(1, sizeof *transfers);
        struct io_uring_params params = { .flags = IORING_SETUP_R_DISABLED };
        int r;

        if (!transfers)
                return -ENOMEM;
        r = io_uring_queue_init_params(TRANSFERS_MAX, &transfers->ring, &params);
        if (r == 0) {
                transfers->made = true;
                r = restrict_ring(&transfers->ring);
        }
        if (r < 0) {
                transfers_free(transfers);
                return r;
        }
        *ret_transfers = transfers;
        return 0;
}

struct transfers *transfers_free(struct transfers *transfers) {
        if (transfers && transfers->made)
                io_uring_queue_exit(&transfers->ring);
        free(transfers);
        return NULL;
}

static void prepare(struct io_uring *ring, struct transfer *transfer) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

        assert(sqe);                    /* the ring is empty between runs */
        prepare_message(transfer);
        if (transfer->send)
                io_uring_prep_sendmsg(sqe, transfer->fd, &transfer->message, (unsigned) flags_of(transfer));
        else
                io_uring_prep_recvmsg(sqe, transfer->fd, &transfer->message, (unsigned) flags_of(transfer));
        io_uring_sqe_set_data(sqe, transfer);
        transfer->result = -EAGAIN;
}

void transfers_run(struct transfers *transfers, struct transfer *list, size_t n) {
        struct io_uring *ring = &transfers->ring;
        size_t n_done = 0;

        assert(n <= TRANSFERS_MAX);
        for (size_t i = 0; i < n; i++)
                prepare(ring, &list[i]);
        while (n_done < n) {            /* all are done at once, as none may wait */
                struct io_uring_cqe *cqes[TRANSFERS_MAX];
                int r = io_uring_submit_and_wait(ring, (unsigned) (n - n_done));
                unsigned n_cqes = io_uring_peek_batch_cqe(ring, cqes, TRANSFERS_MAX);

                for (unsigned i = 0; i < n_cqes; i++)
                        ((struct transfer *) io_uring_cqe_get_data(cqes[i]))->result = cqes[i]->res == -EINTR ? -EAGAIN : cqes[i]->res;
                io_uring_cq_advance(ring, n_cqes);
                n_done += n_cqes;
                if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
                        abort();        /* the kernel may still write to pages that would be unmapped: there is no way on */
        }
}
