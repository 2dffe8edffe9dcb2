/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "datagram.h"
#include "error.h"
#include "joint.h"

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

/* Reads once into the ring. Returns the number of bytes, 0 if there is nothing to do for now, or -EPROTO. */
static ssize_t receive_once(struct stream *stream, size_t budget) {
        struct iovec pieces[2];
        struct msghdr message = { .msg_iov = pieces };
        size_t n;
        ssize_t received;
        int r;

        r = find_room(stream, pieces, &n);
        if (r < 0 || n == 0)
                return r;
        if (n > budget)
                n = budget;
        message.msg_iovlen = (size_t) pieces_limit(pieces, n);
        do
                received = recvmsg(stream->fd, &message, MSG_DONTWAIT);
        while (received < 0 && errno == EINTR);
        if (received > 0) {
                data_producer_commit(&stream->in, (size_t) received);
                if ((size_t) received < n && !stream->hung_up)
                        stream->readable = false;       /* it was all there is: epoll(7), "edge-triggered" */
                return received;
        }
        stream->readable = false;
        if (received == 0)
                stream_end_in(stream, PVCALLS_ENOTCONN);
        else if (errno != EAGAIN)
                stream_fail(stream, -errno);
        return 0;
}

/* Sends once from the ring. As receive_once(). */
static ssize_t send_once(struct stream *stream, size_t budget) {
        struct iovec pieces[2];
        struct msghdr message = { .msg_iov = pieces };
        size_t n;
        ssize_t sent;
        int r;

        r = stream_find_data(stream, pieces, &n);
        if (r < 0 || n == 0)
                return r;
        if (n > budget)
                n = budget;
        message.msg_iovlen = (size_t) pieces_limit(pieces, n);
        do
                sent = sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (sent < 0 && errno == EINTR);
        if (sent >= 0) {
                data_consumer_commit(&stream->out, (size_t) sent);
                if ((size_t) sent < n)
                        stream->writable = false;
                return sent;
        }
        stream->writable = false;
        if (errno != EAGAIN)
                stream_end_out(stream, pvcalls_error_to_wire(-errno));
        return 0;
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

bool stream_is_drained(const struct stream *stream) {
        struct iovec pieces[2];
        size_t n;

        if (stream->elsewhere)
                return false;
        return (stream->fd < 0 && !stream->joint) || stream->out_done || data_consumer_data(&stream->out, pieces, &n) < 0 || n == 0;
}
