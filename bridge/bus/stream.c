/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One stream. Each way ends with one frame (WIRE_DATA_END) of who sends that way; when both have come, the stream is over. What a kind does not use
 * (a pipe has one way) ends as well, so that all are alike.
 *
 * Nothing here frees a stream: who is called from outside releases it at the end.
 */

#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static bool uses_sending(const struct stream *stream) {
        return stream->ours ? stream_kind_goes_there(stream->kind.kind) : stream_kind_comes_back(stream->kind.kind);
}

static bool uses_receiving(const struct stream *stream) {
        return stream->ours ? stream_kind_comes_back(stream->kind.kind) : stream_kind_goes_there(stream->kind.kind);
}

static struct frame_buffer *control(struct stream *stream) {
        const struct streams_options *options = &stream->streams->options;

        options->kick(options->userdata);
        return options->control;
}

/* Of the credit: so that many small packets are not free. */
static uint32_t cost_of(const struct stream *stream, size_t n) {
        return (uint32_t) n + (stream_has_packets(stream) ? WIRE_PACKET_COST : 0);
}

static bool can_send(const struct stream *stream) {
        uint32_t least = stream_has_packets(stream) ? WIRE_PACKET_MAX + WIRE_PACKET_COST : 1;

        return stream->sends && stream->fd >= 0 && stream->credit >= least;
}

/* The descriptor */

void stream_close(struct stream *stream) {
        streams_remove_ready(stream);
        stream->io = sd_event_source_disable_unref(stream->io);
        free(stream->buffer);
        stream->buffer = NULL;
        if (stream->fd < 0)
                return;
        close(stream->fd);
        stream->fd = -1;
        stream->streams->n_live--;
}

void stream_watch(struct stream *stream) {
        bool reads = can_send(stream) && !stream->ready;
        uint32_t events = (reads ? EPOLLIN : 0) | (stream->buffer ? EPOLLOUT : 0);

        if (reads && stream->kind.way == STREAM_WAY_FILE)
                streams_add_ready(stream);
        if (!stream->io)
                return;
        sd_event_source_set_io_events(stream->io, events);
        sd_event_source_set_enabled(stream->io, stream->hung_up && events == 0 ? SD_EVENT_OFF : SD_EVENT_ON);
}

/* What comes is written */

static int give_credit(struct stream *stream, uint32_t n) {
        int r;

        stream->owed += n;
        if (!stream->receives || stream->stopped || stream->owed < STREAMS_WINDOW / 4)
                return 0;
        r = frame_append_data_credit(control(stream), stream->id, stream_side(stream), stream->owed);
        stream->allowed += stream->owed;
        stream->owed = 0;
        return r;
}

int stream_allow(struct stream *stream) {
        return give_credit(stream, STREAMS_WINDOW);
}

/* All that came is written, and nothing more comes. */
static int finish_receiving(struct stream *stream) {
        if (!uses_receiving(stream) || stream->fd < 0)
                return 0;
        if (stream->kind.way == STREAM_WAY_FILE)
                bundle_copied(stream, stream->reason == WIRE_DATA_HALF && stream->place == stream->kind.size);
        else if (stream_is_socket(stream) && stream->reason == WIRE_DATA_HALF)
                shutdown(stream->fd, SHUT_WR);
        else {                          /* to close is not to shut down: others may have it, too */
                stream_close(stream);
                return stream_send_end(stream, WIRE_DATA_CLOSED);
        }
        return 0;
}

int stream_stop(struct stream *stream) {
        int r = 0;

        if (stream->stopped)
                return 0;
        stream->stopped = true;
        free(stream->buffer);
        stream->buffer = NULL;
        if (stream->receives)
                r = frame_append_data_stop(control(stream), stream->id, stream_side(stream));
        else if (stream->fd >= 0)
                r = finish_receiving(stream);
        return r;
}

static void keep(struct stream *stream, const uint8_t *data, size_t n) {
        memcpy(stream->buffer + stream->end, data, n);
        stream->end += n;
}

/* What could not be written. It fits: no more has been allowed, and what a packet costs is more than its length takes. */
static int keep_rest(struct stream *stream, const uint8_t *data, size_t n) {
        const uint32_t length = (uint32_t) n;

        if (!stream->buffer) {
                stream->buffer = malloc(STREAMS_WINDOW);
                if (!stream->buffer)
                        return -ENOMEM;
                stream->start = stream->end = 0;
        }
        if (stream->start > 0 && STREAMS_WINDOW - stream->end < n + sizeof length) {
                memmove(stream->buffer, stream->buffer + stream->start, stream->end - stream->start);
                stream->end -= stream->start;
                stream->start = 0;
        }
        if (stream_has_packets(stream))
                keep(stream, (const uint8_t *) &length, sizeof length);
        keep(stream, data, n);
        return 0;
}

/* Writes what it can; returns how much, or negative errno of what cannot be taken back. */
static ssize_t try_write(struct stream *stream, const uint8_t *data, size_t n) {
        ssize_t written = stream_write(stream, data, n);

        return written == -EAGAIN || written == -EINTR ? 0 : written;
}

static int flush(struct stream *stream) {
        while (stream->buffer && stream->start < stream->end) {
                const uint8_t *data = stream->buffer + stream->start;
                uint32_t n = (uint32_t) (stream->end - stream->start), n_head = 0;
                ssize_t written;
                int r;

                if (stream_has_packets(stream)) {
                        n_head = sizeof n;
                        memcpy(&n, data, sizeof n);
                }
                written = try_write(stream, data + n_head, n);
                if (written < 0)
                        return stream_stop(stream);
                if (written == 0)
                        return 0;
                stream->start += n_head + (size_t) written;
                r = give_credit(stream, cost_of(stream, (size_t) written));
                if (r < 0)
                        return r;
        }
        free(stream->buffer);
        stream->buffer = NULL;
        return stream->receives || stream->stopped ? 0 : finish_receiving(stream);
}

int stream_receive(struct stream *stream, const uint8_t *data, size_t n) {
        uint32_t cost = cost_of(stream, n);
        bool is_file = stream->kind.way == STREAM_WAY_FILE;
        ssize_t written = 0;
        int r;

        if (!stream->receives || cost > stream->allowed || (is_file && !stream->stopped && n > stream->kind.size - stream->place))
                return FRAME_VIOLATION;
        stream->allowed -= cost;
        if (stream->stopped)
                return 0;
        if (!stream->buffer)
                written = try_write(stream, data, n);
        if (written < 0 || (is_file && written < (ssize_t) n))
                return stream_stop(stream);
        if (written < (ssize_t) n) {
                r = keep_rest(stream, data + written, n - (size_t) written);
                if (r < 0)
                        return r;
                stream_watch(stream);
        }
        return written > 0 ? give_credit(stream, cost_of(stream, (size_t) written)) : 0;
}

int stream_receive_end(struct stream *stream, enum wire_data_reason reason) {
        if (!stream->receives)
                return FRAME_VIOLATION;
        stream->receives = false;
        stream->reason = stream_is_terminal(stream) ? WIRE_DATA_CLOSED : reason;
        return stream->buffer ? 0 : finish_receiving(stream);
}

/* What can be read is sent */

int stream_send_end(struct stream *stream, enum wire_data_reason reason) {
        int r;

        if (!stream->sends || stream->bundle)           /* who has announced it counts it until its message was taken: bundle_free() */
                return 0;
        stream->sends = false;
        streams_remove_ready(stream);
        r = frame_append_data_end(control(stream), stream->id, stream_side(stream), reason);
        if (r < 0 || (uses_receiving(stream) && reason == WIRE_DATA_HALF) || !uses_sending(stream))
                return r;
        r = stream_stop(stream);        /* nobody has it: it is neither read nor written */
        stream_close(stream);
        return r;
}

/* Nothing more can be read. Whether it can be written, nobody says but poll(). */
static enum wire_data_reason reason_of_end(const struct stream *stream) {
        struct pollfd poll_fd = { .fd = stream->fd };

        if (!stream_is_socket(stream))
                return WIRE_DATA_CLOSED;
        return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR)) ? WIRE_DATA_CLOSED : WIRE_DATA_HALF;
}

static int send_file_end(struct stream *stream) {
        return stream_send_end(stream, stream->place == stream->kind.size ? WIRE_DATA_HALF : WIRE_DATA_FAILED);
}

int stream_send(struct stream *stream, struct frame_buffer *out) {
        uint8_t *piece = stream->streams->piece;
        size_t most = stream_has_packets(stream) ? WIRE_PACKET_MAX : stream->credit < WIRE_FRAGMENT_MAX ? stream->credit : WIRE_FRAGMENT_MAX;
        ssize_t n;
        int r;

        n = stream_read(stream, piece, most);
        if (n == -EAGAIN || n == -EINTR) {
                stream_watch(stream);
                return 0;
        }
        if (n <= 0 && stream->kind.way == STREAM_WAY_FILE)
                return send_file_end(stream);
        if (n <= 0)
                return stream_send_end(stream, n < 0 ? WIRE_DATA_CLOSED : reason_of_end(stream));
        r = frame_append_data(out, stream->id, stream_side(stream), piece, (size_t) n);
        stream->credit -= cost_of(stream, (size_t) n);
        if (stream->kind.way == STREAM_WAY_FILE && stream->place == stream->kind.size)
                return r < 0 ? r : send_file_end(stream);
        if (can_send(stream) && (size_t) n == most)
                streams_add_ready(stream);
        else
                stream_watch(stream);
        return r;
}

/* Whoever has the other end has closed it: so do we. */
int stream_receive_stop(struct stream *stream) {
        if (!stream->sends || !uses_sending(stream))
                return 0;
        if (stream_is_socket(stream) && stream->fd >= 0)
                shutdown(stream->fd, SHUT_RD);
        return stream_send_end(stream, WIRE_DATA_HALF);
}

/* Events */

static int on_event(struct stream *stream, uint32_t events) {
        int r = 0;

        if (events & (EPOLLHUP | EPOLLERR))
                stream->hung_up = true;
        if (stream->buffer && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
                r = flush(stream);
        if (r == 0 && stream->hung_up && stream->fd >= 0 && (stream->receives || stream->buffer))
                r = stream_stop(stream);        /* nothing can be written any more */
        if (r == 0 && can_send(stream) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                streams_add_ready(stream);
        if (r == 0 && stream->fd >= 0)
                stream_watch(stream);
        return r;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct stream *stream = userdata;
        const struct streams_options options = stream->streams->options;
        int r;

        r = on_event(stream, events);
        stream_release(stream);
        if (r < 0)
                options.fail(options.userdata, r);
        return 0;
}

int stream_start(struct stream *stream) {
        if (!uses_receiving(stream))
                stream->stopped = true;         /* nobody need be told */
        if (stream->kind.way == STREAM_WAY_FILE)
                return 0;
        return sd_event_add_io(stream->streams->options.event, &stream->io, stream->fd, 0, on_io, stream);
}
