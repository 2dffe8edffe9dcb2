/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reading and writing what a stream has, without ever waiting.
 *
 * A pipe whose flags others share may have O_NONBLOCK or not, and another reader may take what poll() has seen. splice() with
 * SPLICE_F_NONBLOCK does not wait in either case, but wants a pipe at the other side: bytes go through one of our own, which is empty again
 * afterwards.
 */

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

int stream_pipe_open(int ret_pipe[2]) {
        return pipe2(ret_pipe, O_NONBLOCK | O_CLOEXEC) < 0 ? -errno : 0;
}

static ssize_t read_packet(int fd, void *data, size_t n) {
        ssize_t length;

        length = recv(fd, data, n, MSG_DONTWAIT | MSG_TRUNC);
        if (length > (ssize_t) n)
                return -EMSGSIZE;
        return length < 0 ? -errno : length;
}

static ssize_t read_pipe(struct stream *stream, void *data, size_t n) {
        const int *between = stream->streams->pipe;
        ssize_t moved;

        moved = splice(stream->fd, NULL, between[1], NULL, n, SPLICE_F_NONBLOCK);
        if (moved <= 0)
                return moved < 0 ? -errno : 0;
        moved = read(between[0], data, n);
        return moved < 0 ? -errno : moved;
}

static ssize_t write_pipe(struct stream *stream, const void *data, size_t n) {
        const int *between = stream->streams->pipe;
        ssize_t filled, moved;
        int error;

        filled = write(between[1], data, n);
        if (filled < 0)
                return -errno;
        moved = splice(between[0], NULL, stream->fd, NULL, (size_t) filled, SPLICE_F_NONBLOCK);
        error = errno;
        while (read(between[0], stream->streams->piece, sizeof stream->streams->piece) > 0)     /* what did not fit; the caller has it */
                ;
        return moved < 0 ? -error : moved;
}

ssize_t stream_read(struct stream *stream, void *data, size_t n) {
        ssize_t length = -1;

        switch (stream->kind.way) {
        case STREAM_WAY_SOCKET:
                if (stream_has_packets(stream))
                        return read_packet(stream->fd, data, n);
                length = recv(stream->fd, data, n, MSG_DONTWAIT);
                break;
        case STREAM_WAY_OWN:
                length = read(stream->fd, data, n);
                break;
        case STREAM_WAY_PIPE:
                return read_pipe(stream, data, n);
        case STREAM_WAY_FILE:
                if (n > stream->kind.size - stream->place)
                        n = (size_t) (stream->kind.size - stream->place);
                length = pread(stream->fd, data, n, (off_t) stream->place);
                if (length > 0)
                        stream->place += (uint64_t) length;
                break;
        }
        return length < 0 ? -errno : length;
}

ssize_t stream_write(struct stream *stream, const void *data, size_t n) {
        ssize_t length = -1;

        switch (stream->kind.way) {
        case STREAM_WAY_SOCKET:
                length = send(stream->fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                break;
        case STREAM_WAY_OWN:
                length = write(stream->fd, data, n);
                break;
        case STREAM_WAY_PIPE:
                return write_pipe(stream, data, n);
        case STREAM_WAY_FILE:
                length = pwrite(stream->fd, data, n, (off_t) stream->place);
                if (length > 0)
                        stream->place += (uint64_t) length;
                break;
        }
        return length < 0 ? -errno : length;
}
