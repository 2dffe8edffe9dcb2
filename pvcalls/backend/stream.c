/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "datagram.h"
#include "error.h"
#include "joint.h"
#include "transfer.h"

void stream_init(struct stream *stream, struct pvcalls_indexes *indexes, uint8_t *data, uint32_t size, bool suppress) {
        *stream = (struct stream) { .fd = -1 };
        data_producer_init(&stream->in, &indexes->in, data, size, suppress);
        data_consumer_init(&stream->out, &indexes->out, data + size, size, suppress);
}

void stream_open(struct stream *stream, int fd) {
        stream->fd = fd;
        stream->readable = stream->writable = true;
}

void stream_ready(struct stream *stream, uint32_t events) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                stream->readable = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                stream->writable = true;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                stream->hung_up = true;
}

void stream_end_in(struct stream *stream, int32_t number) {
        if (!stream->in_done)
                data_producer_fail(&stream->in, number);
        stream->in_done = true;
}

void stream_end_out(struct stream *stream, int32_t number) {
        if (!stream->out_done)
                data_consumer_fail(&stream->out, number);
        stream->out_done = true;
}

void stream_fail(struct stream *stream, int error) {
        stream_end_in(stream, pvcalls_error_to_wire(error));
        stream_end_out(stream, pvcalls_error_to_wire(error));
}

/* Cuts pieces to n bytes. Returns how many pieces are left, which are not empty. */
static int pieces_limit(struct iovec pieces[2], size_t n) {
        if (n <= pieces[0].iov_len) {
                pieces[0].iov_len = n;
                return 1;
        }
        pieces[1].iov_len = n - pieces[0].iov_len;
        return 2;
}

/* Room in the ring. If there is none, the guest is asked to say when there is, and looked for once more. */
static int find_room(struct stream *stream, struct iovec pieces[2], size_t *ret_n) {
        int r = data_producer_space(&stream->in, pieces, ret_n);

        if (r < 0 || *ret_n > 0)
                return r;
        r = data_producer_sleep(&stream->in, stream->in.size / 2);
        return r <= 0 ? r : data_producer_space(&stream->in, pieces, ret_n);
}

int stream_find_data(struct stream *stream, struct iovec pieces[2], size_t *ret_n) {
        int r = data_consumer_data(&stream->out, pieces, ret_n);

        if (r == 0 && *ret_n == 0) {
                r = data_consumer_sleep(&stream->out);
                if (r > 0)
                        r = data_consumer_data(&stream->out, pieces, ret_n);
        }
        if (r == 0 && stream->out_ends && *ret_n > stream->out_end - stream->out.cons)
                *ret_n = stream->out_end - stream->out.cons;
        return r;
}

/* Ends the connection's sending direction where the guest has said. */
static void end_out_there(struct stream *stream) {
        if (!stream->out_ends || stream->out_done || stream->out.cons != stream->out_end)
                return;
        if (stream->joint)
                joint_end_in(stream->joint, PVCALLS_ENOTCONN);
        else
                (void) shutdown(stream->fd, SHUT_WR);   /* if it has failed, the other direction says so */
        stream_end_out(stream, pvcalls_error_to_wire(-EPIPE));
}

void stream_shutdown_in(struct stream *stream) {
        if (stream->joint)
                joint_end_out(stream->joint, pvcalls_error_to_wire(-EPIPE));
        else
                (void) shutdown(stream->fd, SHUT_RD);
        stream_end_in(stream, PVCALLS_ENOTCONN);
}

int stream_shutdown_out(struct stream *stream, uint32_t untrusted_out_prod) {
        if (untrusted_out_prod - stream->out.cons > stream->out.size)
                return -EINVAL;
        if (!stream->out_ends)          /* the first is the end */
                stream->out_end = untrusted_out_prod;
        stream->out_ends = true;
        return 0;
}

/* A read into the ring. Returns 1 and the transfer, 0 if there is nothing to do for now, or -EPROTO. */
static int prepare_receive(struct stream *stream, size_t budget, struct transfer *ret_transfer) {
        struct transfer transfer = { .fd = stream->fd };
        int r;

        r = find_room(stream, transfer.pieces, &transfer.n);
        if (r < 0 || transfer.n == 0)
                return r;
        if (transfer.n > budget)
                transfer.n = budget;
        transfer.n_pieces = pieces_limit(transfer.pieces, transfer.n);
        *ret_transfer = transfer;
        return 1;
}

/* Returns the number of bytes. */
static ssize_t finish_receive(struct stream *stream, const struct transfer *transfer) {
        ssize_t received = transfer->result;

        if (received > 0) {
                data_producer_commit(&stream->in, (size_t) received);
                if ((size_t) received < transfer->n && !stream->hung_up)
                        stream->readable = false;       /* it was all there is: epoll(7), "edge-triggered" */
                return received;
        }
        stream->readable = false;
        if (received == 0)
                stream_end_in(stream, PVCALLS_ENOTCONN);
        else if (received != -EAGAIN)
                stream_fail(stream, (int) received);
        return 0;
}

/* A write from the ring. As with the read. */
static int prepare_send(struct stream *stream, size_t budget, struct transfer *ret_transfer) {
        struct transfer transfer = { .fd = stream->fd, .send = true };
        int r;

        r = stream_find_data(stream, transfer.pieces, &transfer.n);
        if (r < 0 || transfer.n == 0)
                return r;
        if (transfer.n > budget)
                transfer.n = budget;
        transfer.n_pieces = pieces_limit(transfer.pieces, transfer.n);
        *ret_transfer = transfer;
        return 1;
}

static ssize_t finish_send(struct stream *stream, const struct transfer *transfer) {
        ssize_t sent = transfer->result;

        if (sent >= 0) {
                data_consumer_commit(&stream->out, (size_t) sent);
                if ((size_t) sent < transfer->n)
                        stream->writable = false;
                return sent;
        }
        stream->writable = false;
        if (sent != -EAGAIN)
                stream_end_out(stream, pvcalls_error_to_wire((int) sent));
        return 0;
}

static ssize_t receive_once(struct stream *stream, size_t budget) {
        struct transfer transfer;
        int r = prepare_receive(stream, budget, &transfer);

        if (r <= 0)
                return r;
        transfer_run(&transfer);
        return finish_receive(stream, &transfer);
}

static ssize_t send_once(struct stream *stream, size_t budget) {
        struct transfer transfer;
        int r = prepare_send(stream, budget, &transfer);

        if (r <= 0)
                return r;
        transfer_run(&transfer);
        return finish_send(stream, &transfer);
}

/* One direction's turn. Returns whether it would go on, or -EPROTO. */
static int turn(struct stream *stream, ssize_t (*once)(struct stream *, size_t), const bool *ready, const bool *done, size_t budget,
                uint64_t *counter) {
        size_t left = budget;

        while (*ready && !*done && left > 0) {
                ssize_t n = once(stream, left);

                if (n < 0)
                        return (int) n;
                if (n == 0)
                        return 0;
                left -= (size_t) n;
                *counter += (size_t) n;
        }
        return *ready && !*done;
}

typedef ssize_t (*stream_step)(struct stream *stream, size_t budget);

static stream_step sender(const struct stream *stream) {
        return stream->joint ? joint_send : stream->judge ? datagram_send : send_once;
}

static stream_step receiver(const struct stream *stream) {
        return stream->joint ? joint_receive : stream->judge ? datagram_receive : receive_once;
}

/* Whom the turn has something for. */
static int notifications(struct stream *stream) {
        bool in = data_producer_must_notify(&stream->in), out = data_consumer_must_notify(&stream->out);
        bool other = stream->joint && joint_must_notify(stream->joint);

        return (in || out ? STREAM_NOTIFY : 0) | (other ? STREAM_NOTIFY_OTHER : 0);
}

int stream_run(struct stream *stream, size_t budget, size_t *ret_moved) {
        uint64_t before = stream->n_received + stream->n_sent;
        int more_out, more_in = 0;

        *ret_moved = 0;
        if (stream->fd < 0 && !stream->joint)   /* the guest may still have to hear of the end */
                return stream->elsewhere ? 0 : notifications(stream);
        if (stream->joint)              /* their indexes say what is possible */
                stream->readable = stream->writable = true;
        more_out = turn(stream, sender(stream), &stream->writable, &stream->out_done, budget, &stream->n_sent);
        if (more_out < 0)
                return more_out;
        end_out_there(stream);
        if (!stream->draining)
                more_in = turn(stream, receiver(stream), &stream->readable, &stream->in_done, budget, &stream->n_received);
        if (more_in < 0)
                return more_in;
        *ret_moved = (size_t) (stream->n_received + stream->n_sent - before);
        return (more_out || more_in ? STREAM_MORE : 0) | notifications(stream);
}

bool stream_can_be_prepared(const struct stream *stream) {
        return stream->fd >= 0 && !stream->joint && !stream->judge;
}

int stream_prepare(struct stream *stream, size_t budget, struct transfer *ret_transfers) {
        int n = 0, r = 0;

        if (stream->writable && !stream->out_done)
                r = prepare_send(stream, budget, &ret_transfers[n]);
        if (r < 0)
                return r;
        n += r;
        r = 0;
        if (!stream->draining && stream->readable && !stream->in_done)
                r = prepare_receive(stream, budget, &ret_transfers[n]);
        return r < 0 ? r : n + r;
}

int stream_finish(struct stream *stream, const struct transfer *transfers, int n, size_t *ret_moved) {
        bool more = false;

        *ret_moved = 0;
        for (int i = 0; i < n; i++) {
                bool send = transfers[i].send;
                ssize_t moved = send ? finish_send(stream, &transfers[i]) : finish_receive(stream, &transfers[i]);

                *ret_moved += (size_t) moved;
                *(send ? &stream->n_sent : &stream->n_received) += (size_t) moved;
                more = more || (moved > 0 && (send ? stream->writable && !stream->out_done : stream->readable && !stream->in_done));
        }
        end_out_there(stream);
        return (more ? STREAM_MORE : 0) | notifications(stream);
}

bool stream_is_drained(const struct stream *stream) {
        struct iovec pieces[2];
        size_t n;

        if (stream->elsewhere)
                return false;
        return (stream->fd < 0 && !stream->joint) || stream->out_done || data_consumer_data(&stream->out, pieces, &n) < 0 || n == 0;
}
