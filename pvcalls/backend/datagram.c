/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "datagram.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "error.h"
#include "frame.h"

static void say_address(struct pvcalls_datagram *header, const struct pvcalls_name *name) {
        uint8_t bytes[PVCALLS_NAME_MAX];

        header->addr_len = pvcalls_name_format(name, bytes);
        memcpy(header->addr, bytes, sizeof header->addr);
}

/* What became of a datagram that was for this address; of one whose address is not known, if there is none. */
static void tell_error(struct stream *stream, int error, const struct pvcalls_name *to) {
        struct pvcalls_datagram header = { .error = pvcalls_error_to_wire(error) };
        struct iovec pieces[2];
        size_t n;

        if (data_producer_space(&stream->in, pieces, &n) < 0 || n < FRAME_HEADER)
                return;
        if (to && to->size > 0)
                say_address(&header, to);
        pieces_put(pieces, &header, FRAME_HEADER);
        data_producer_commit(&stream->in, FRAME_HEADER);
}

/* Whom it is for. Returns 0 and an address, or none: whoever the socket is connected to. */
static int destination(struct stream *stream, const struct pvcalls_datagram *header, struct pvcalls_name *ret_asked,
                       struct pvcalls_name *ret_used) {
        int r;

        if (header->addr_len == 0)
                return 0;
        if (header->addr_len > sizeof header->addr)
                return -EINVAL;
        r = pvcalls_name_parse(header->addr, header->addr_len, ret_asked);
        return r < 0 ? r : stream->judge(stream, ret_asked, ret_used);
}

ssize_t datagram_send(struct stream *stream, size_t budget) {
        struct pvcalls_name asked = {}, used = {};
        struct pvcalls_datagram header;
        struct iovec pieces[2];
        struct msghdr message = { .msg_iov = pieces, .msg_iovlen = 2 };
        size_t n, frame;
        int r;

        r = stream_find_data(stream, pieces, &n);
        if (r < 0 || n == 0)
                return r;
        if (frame_get(pieces, n, &header) < 0)
                return -EPROTO;
        frame = frame_length(header.length);
        pieces_limit(pieces, header.length);
        r = destination(stream, &header, &asked, &used);
        if (r == 0) {
                message.msg_name = used.size > 0 ? &used.any : NULL;
                message.msg_namelen = used.size;
                if (sendmsg(stream->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                        r = -errno;
        }
        if (r == -EAGAIN) {
                stream->writable = false;
                return 0;
        }
        if (r < 0)
                tell_error(stream, r, &asked);
        data_consumer_commit(&stream->out, frame);
        return (ssize_t) frame;
}

/* Room for the next datagram: all of it, or all of the ring if it is longer than that. 0 if there is not, or no datagram. */
static int find_room(struct stream *stream, struct iovec pieces[2], size_t *ret_n) {
        size_t needed;
        int next = 0, r;

        if (ioctl(stream->fd, FIONREAD, &next) < 0)
                next = 0;
        needed = frame_length((size_t) next);
        if (needed > stream->in.size)
                needed = stream->in.size;
        for (int tries = 0; tries < 2; tries++) {
                r = data_producer_space(&stream->in, pieces, ret_n);
                if (r < 0 || *ret_n >= needed)
                        return r;
                r = data_producer_sleep(&stream->in, needed);
                if (r < 0)
                        return r;
        }
        *ret_n = 0;
        return 0;
}

ssize_t datagram_receive(struct stream *stream, size_t budget) {
        struct pvcalls_name from = { .size = sizeof from.local };
        struct pvcalls_datagram header = {};
        struct iovec pieces[2], payload[2];
        struct msghdr message = { .msg_name = &from.any, .msg_namelen = from.size, .msg_iov = payload, .msg_iovlen = 2 };
        size_t n, room;
        ssize_t received;
        int r;

        r = find_room(stream, pieces, &n);
        if (r < 0 || n == 0)
                return r;
        memcpy(payload, pieces, sizeof payload);
        pieces_put(payload, &header, FRAME_HEADER);
        room = (n - FRAME_HEADER) / PVCALLS_DATAGRAM_ALIGN * PVCALLS_DATAGRAM_ALIGN;
        pieces_limit(payload, room);
        received = recvmsg(stream->fd, &message, MSG_DONTWAIT | MSG_TRUNC);
        if (received < 0 && errno == EAGAIN) {
                stream->readable = false;
                return 0;
        }
        if (received < 0) {             /* of a datagram sent before: a port that nobody listens at, for example */
                tell_error(stream, -errno, NULL);
                return FRAME_HEADER;
        }
        from.size = message.msg_namelen;
        header.flags = (size_t) received > room ? PVCALLS_DATAGRAM_TRUNCATED : 0;
        header.length = (uint32_t) ((size_t) received > room ? room : (size_t) received);
        say_address(&header, &from);
        pieces_put(pieces, &header, FRAME_HEADER);
        data_producer_commit(&stream->in, frame_length(header.length));
        return (ssize_t) frame_length(header.length);
}
