/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Everything that a hostile bridge can send, as far as it is bytes: the reader, the frames' meaning, and the messages they are put together to. */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "demux.h"
#include "frame.h"

#define WINDOW WIRE_FRAGMENT_MAX

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int on_credit(void *userdata, uint32_t stream, uint32_t n_bytes) {
        return 0;
}

static int on_frame(struct demux *demux, const struct frame *frame) {
        struct frame_content content;
        struct demux_message message;
        int r;

        r = frame_parse(frame, &content);
        if (r != 0)
                return r;
        if (content.text.text)
                assert(!memchr(content.text.text, '\0', content.text.n));
        switch (frame->type) {
        case WIRE_PEER:
                return demux_stream_open(demux, content.id);
        case WIRE_PEER_GONE:
                return demux_stream_close(demux, content.id);
        case WIRE_MESSAGE:
                r = demux_message(demux, &content, &message);
                break;
        case WIRE_FRAGMENT:
                r = demux_fragment(demux, &content, &message);
                break;
        default:
                return 0;
        }
        if (r != DEMUX_MESSAGE)
                return r;
        assert(message.size >= WIRE_MESSAGE_MIN && message.size <= WIRE_MESSAGE_MAX);
        free(message.data);
        return demux_taken(demux, message.stream, message.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct budget budget = { .limit = 1 << 20 };
        struct frame_reader *reader = NULL;
        struct demux *demux = NULL;
        struct frame frame;
        int r = 0;

        if (frame_reader_new(&reader) < 0 || demux_new(&demux, WINDOW, &budget, on_credit, NULL) < 0)
                abort();
        while (n > 0 && r == 0) {
                void *to;
                size_t size;

                frame_reader_buffer(reader, &to, &size);
                if (size > n)
                        size = n;
                memcpy(to, data, size);
                frame_reader_commit(reader, size);
                data += size;
                n -= size;
                while ((r = frame_reader_next(reader, &frame)) == 0)
                        if ((r = on_frame(demux, &frame)) != 0)
                                break;
                r = r == FRAME_MORE ? 0 : r;
        }
        assert(budget.used <= budget.limit);
        demux_free(demux);
        assert(budget.used == 0);
        frame_reader_free(reader);
        return 0;
}
