/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Reads and writes a ring as a session does, for test-bridge-ring.py, which has it built with AddressSanitizer: ring-reader DOMAIN.
 *
 * Of each line "client PATH" on standard input it takes the ring that the domain offers there, or of "server PATH" offers one itself and says so, uses it
 * until something ends it, and says what: "closed" by the other end, "corrupt" indexes, a "violation" of the protocol, "refused" if there was
 * no ring to be had, or "silence" if none of these came.
 */

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demux.h"
#include "frame.h"
#include "vchan.h"

#define LOOK_USEC UINT64_C(10000)       /* between two looks at a ring of which no event comes; a session takes longer */
#define LOOKS_MAX 2000u

struct reader {
        struct vchan *vchan;
        struct frame_reader *frames;
        struct demux *demux;
        sd_event *event;
        unsigned n_looks;
};

static int on_credit(void *userdata, uint32_t stream, uint32_t n_bytes) {
        return 0;
}

static int on_frame(struct demux *demux, const struct frame *frame) {
        struct frame_content content;
        struct demux_message message;
        int r;

        r = frame_parse(frame, &content);
        if (r != 0)
                return r > 0 ? 0 : r;   /* of a type that is not known */
        if (frame->type == WIRE_PEER)
                return demux_stream_open(demux, content.id);
        if (frame->type != WIRE_MESSAGE && frame->type != WIRE_FRAGMENT)
                return 0;
        r = frame->type == WIRE_MESSAGE ? demux_message(demux, &content, &message) : demux_fragment(demux, &content, &message);
        if (r != DEMUX_MESSAGE)
                return r;
        free(message.data);
        return demux_taken(demux, message.stream, message.size);
}

static int read_all(struct reader *reader) {
        struct frame frame;

        for (;;) {
                void *data;
                size_t size;
                int r;

                frame_reader_buffer(reader->frames, &data, &size);
                r = vchan_read(reader->vchan, data, size);
                if (r <= 0)
                        return r;
                frame_reader_commit(reader->frames, (size_t) r);
                while ((r = frame_reader_next(reader->frames, &frame)) == 0) {
                        r = on_frame(reader->demux, &frame);
                        if (r < 0)
                                return r;
                }
                if (r != FRAME_MORE)
                        return -EBADMSG;
        }
}

static void use(struct reader *reader) {
        static const char data[8192];
        int r;

        r = read_all(reader);
        if (r == 0)
                r = vchan_write(reader->vchan, data, sizeof data);
        if (r < 0)
                sd_event_exit(reader->event, -r);
}

static void on_event(void *userdata) {
        use(userdata);
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        struct reader *reader = userdata;
        int r = vchan_check(reader->vchan);

        if (r < 0 || ++reader->n_looks > LOOKS_MAX)
                return sd_event_exit(reader->event, r < 0 ? -r : ETIMEDOUT);
        use(reader);
        r = sd_event_source_set_time_relative(source, LOOK_USEC);
        return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static const char *word_for(int error) {
        switch (error) {
        case EPIPE: return "closed";
        case EUCLEAN: return "corrupt";
        case EBADMSG:
        case EMLINK:
        case ENOTUNIQ:
        case EEXIST: return "violation";
        case ETIMEDOUT: return "silence";
        default: return strerrordesc_np(error);
        }
}

static int make_ring(struct reader *reader, unsigned domain, const char *role, const char *path) {
        int r;

        if (strcmp(role, "client") == 0)
                return vchan_connect(&reader->vchan, reader->event, domain, path, on_event, reader);
        r = vchan_serve(&reader->vchan, reader->event, domain, path, on_event, reader);
        if (r >= 0)
                printf("%s offered\n", path);
        fflush(stdout);
        return r;
}

static const char *read_ring(unsigned domain, const char *role, const char *path) {
        struct budget budget = { .limit = 1 << 20 };
        struct reader reader = { .n_looks = 0 };
        int r;

        if (sd_event_new(&reader.event) < 0 || frame_reader_new(&reader.frames) < 0 ||
            demux_new(&reader.demux, WIRE_WINDOW, &budget, on_credit, NULL) < 0)
                abort();
        r = make_ring(&reader, domain, role, path);
        if (r >= 0) {
                if (sd_event_add_time_relative(reader.event, NULL, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, &reader) < 0)
                        abort();
                r = sd_event_loop(reader.event);
                vchan_free(reader.vchan);
        }
        demux_free(reader.demux);
        frame_reader_free(reader.frames);
        sd_event_unref(reader.event);
        return r < 0 ? "refused" : word_for(r);
}

int main(int argc, char **argv) {
        char role[8], path[64];

        if (argc != 2)
                return EXIT_FAILURE;
        while (scanf("%7s %63s", role, path) == 2) {
                const char *word = read_ring((unsigned) strtoul(argv[1], NULL, 10), role, path);

                printf("%s %s\n", path, word);
                fflush(stdout);
        }
        return EXIT_SUCCESS;
}
