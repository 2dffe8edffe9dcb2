/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One-way traffic in rounds; see stream.h. */

#include "stream.h"

#include <errno.h>
#include <stdbool.h>

static char chunk[STREAM_CHUNK];

static bool write_all(const struct stream *stream, const void *data, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t r = stream->write(stream->stream, (const char *) data + done, n - done);

                if (r <= 0)
                        return false;
                done += r;
        }
        return true;
}

static bool read_all(const struct stream *stream, void *data, size_t n) {
        for (size_t done = 0; done < n;) {
                ssize_t r = stream->read(stream->stream, (char *) data + done, n - done);

                if (r <= 0)
                        return false;
                done += r;
        }
        return true;
}

int stream_send_round(void *userdata, uint64_t n) {
        const struct stream *stream = userdata;
        char byte;
        bool good = write_all(stream, &n, sizeof n);

        for (; good && n > 0; n--)
                good = write_all(stream, chunk, sizeof chunk);
        return good && read_all(stream, &byte, 1) ? 0 : -EPIPE;
}

void stream_receive_rounds(const struct stream *stream) {
        uint64_t n;
        bool good = true;

        while (good && read_all(stream, &n, sizeof n)) {
                for (; good && n > 0; n--)
                        good = read_all(stream, chunk, sizeof chunk);
                good = good && write_all(stream, "", 1);
        }
}
