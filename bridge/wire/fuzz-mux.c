/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Both ends of a link's messages, the way out and the way in, over a pipe that cuts as it likes: the input is what happens in which order. Whatever that
 * is, each message comes once, whole, after those that its stream was given before; pings pass all messages; credit is never more than a window;
 * and when everybody has taken what is his, nothing waits for anything any longer. Credit that was never earned is a violation.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "demux.h"
#include "mux.h"

#define WINDOW WIRE_FRAGMENT_MAX
#define BUDGET (4u * WINDOW)            /* less than what all streams may want at once */
#define MESSAGE_MAX (3u * WINDOW)
#define STREAMS 4u                      /* open at once */
#define MESSAGES_MAX 256u               /* that were sent in a run */
#define IDS_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum state { UNUSED, OPEN, CLOSING, GONE };

/* A stream as the test knows it. */
struct model {
        enum state state;
        uint32_t n_sent, n_received;
        uint64_t credit;                /* that the mux has */
};

struct delivered {
        uint32_t stream, size;
};

struct link {
        const uint8_t *input;
        size_t n_input;
        struct budget budget;
        struct mux *mux;
        struct demux *demux;
        struct frame_reader *reader;
        struct frame_buffer out, credits;       /* on their way there, and back */
        struct model streams[IDS_MAX];
        uint32_t open[STREAMS];                 /* ids; 0: none */
        uint32_t next_id, n_messages, n_freed;
        struct delivered delivered[MESSAGES_MAX];       /* and not taken yet, the oldest first */
        size_t n_delivered;
        uint64_t pings_sent, pings_on_their_way, pings_received;
        bool window_known, cheated;
};

static uint8_t next_byte(struct link *link) {
        if (link->n_input == 0)
                return 0;
        link->n_input--;
        return *link->input++;
}

static uint32_t next_number(struct link *link, uint32_t limit) {
        uint32_t number = next_byte(link);

        return (number << 8 | next_byte(link)) * UINT32_C(251) % limit;
}

static void on_sent(void *userdata, void *owner, uint32_t size) {
        struct link *link = userdata;

        link->n_freed++;
}

static int on_credit(void *userdata, uint32_t stream, uint32_t n_bytes) {
        struct link *link = userdata;

        return frame_append_credit(&link->credits, stream, n_bytes);
}

/* What happens at the sender */

static void open_stream(struct link *link, unsigned slot) {
        uint32_t id = link->next_id;

        if (link->open[slot] || id == IDS_MAX)
                return;
        link->next_id++;
        link->open[slot] = id;
        link->streams[id] = (struct model) { .state = OPEN, .credit = WINDOW };
        if (frame_append_peer(mux_control(link->mux), id, 0, ":1.1") < 0 || mux_stream_open(link->mux, id) < 0)
                abort();
}

static void send_message(struct link *link, unsigned slot) {
        uint32_t id = link->open[slot], size = WIRE_MESSAGE_MIN + next_number(link, MESSAGE_MAX - WIRE_MESSAGE_MIN + 1);
        struct mux_message message = { .call = link->n_messages, .size = size };

        if (!id || link->n_messages == MESSAGES_MAX)
                return;
        message.data = malloc(size);
        if (!message.data)
                abort();
        memset(message.data, (int) (link->streams[id].n_sent & 0xff), size);
        if (mux_send(link->mux, id, &message) < 0)
                abort();
        link->streams[id].n_sent++;
        link->n_messages++;
}

static void close_stream(struct link *link, unsigned slot) {
        uint32_t id = link->open[slot];

        if (!id)
                return;
        link->open[slot] = 0;
        link->streams[id].state = CLOSING;
        if (mux_stream_close(link->mux, id) < 0 || mux_stream_close(link->mux, id) >= 0)
                abort();
}

static void ping(struct link *link) {
        if (frame_append_ping(mux_control(link->mux), WIRE_PING, ++link->pings_sent) < 0)
                abort();
}

static void know_window(struct link *link) {
        if (!link->window_known)
                mux_set_window(link->mux, WINDOW);
        link->window_known = true;
}

/* The other end has a right to give back what it was sent, and to nothing else. */
static void cheat(struct link *link, unsigned slot) {
        uint32_t id = link->open[slot], n = 1 + next_number(link, 2 * WINDOW);
        int r;

        if (!id || !link->window_known)
                return;
        r = mux_credit(link->mux, id, n);
        if (link->streams[id].credit + n > WINDOW)
                assert(r == FRAME_VIOLATION);
        else {
                assert(r == 0);
                link->streams[id].credit += n;
                link->cheated = true;           /* it may get more than it has room for now, and has itself to blame */
        }
}

static void give_credit_back(struct link *link) {
        struct frame_content content;
        struct frame frame = { .type = WIRE_CREDIT, .n_body = sizeof(struct wire_credit) };

        if (frame_buffer_length(&link->credits) == 0)
                return;
        frame.body = link->credits.data + link->credits.start + sizeof(struct wire_head);
        assert(frame_parse(&frame, &content) == 0);
        assert(content.credit.stream < IDS_MAX);
        if (mux_credit(link->mux, content.credit.stream, content.credit.n_bytes) == 0)
                link->streams[content.credit.stream].credit += content.credit.n_bytes;
        else
                assert(link->cheated);
        frame_buffer_take(&link->credits, sizeof(struct wire_head) + frame.n_body);
}

/* And at the receiver */

static void take(struct link *link) {
        struct delivered first = link->delivered[0];

        if (link->n_delivered == 0)
                return;
        link->n_delivered--;
        memmove(link->delivered, link->delivered + 1, link->n_delivered * sizeof first);
        if (demux_taken(link->demux, first.stream, first.size) < 0)
                abort();
}

static void check_message(struct link *link, const struct demux_message *message) {
        struct model *stream = &link->streams[message->stream];

        assert(stream->state == OPEN || stream->state == CLOSING);
        assert(message->size >= WIRE_MESSAGE_MIN && message->size <= MESSAGE_MAX);
        assert(message->data[0] == (stream->n_received & 0xff));
        assert(memcmp(message->data, message->data + 1, message->size - 1) == 0);
        stream->n_received++;
        free(message->data);
        link->delivered[link->n_delivered++] = (struct delivered) { message->stream, message->size };
}

/* false: the receiver ends the link, as it may with one that was given what it has no right to. */
static bool receive(struct link *link, const struct frame *frame) {
        struct frame_content content;
        struct demux_message message;
        int r = 0;

        assert(frame_parse(frame, &content) == 0);
        switch (frame->type) {
        case WIRE_PEER:
                r = demux_stream_open(link->demux, content.id);
                break;
        case WIRE_PEER_GONE:
                assert(link->streams[content.id].state == CLOSING);
                assert(link->streams[content.id].n_received == link->streams[content.id].n_sent);
                link->streams[content.id].state = GONE;
                r = demux_stream_close(link->demux, content.id);
                break;
        case WIRE_MESSAGE:
        case WIRE_FRAGMENT:
                assert(link->window_known);
                r = frame->type == WIRE_MESSAGE ? demux_message(link->demux, &content, &message) : demux_fragment(link->demux, &content, &message);
                if (r == DEMUX_MESSAGE) {
                        check_message(link, &message);
                        r = 0;
                }
                break;
        case WIRE_PING:
                assert(content.tag == ++link->pings_received);
                break;
        default:
                abort();
        }
        assert(r == 0 || (r == FRAME_VIOLATION && link->cheated));
        return r == 0;
}

/* What the mux yields it takes from its streams' credit, and all that is not a message goes before. */
static void check_yield(struct link *link, size_t from) {
        while (from < frame_buffer_length(&link->out)) {
                struct frame_content content;
                struct wire_head head;
                struct frame frame;

                memcpy(&head, link->out.data + link->out.start + from, sizeof head);
                frame = (struct frame) { head.type, head.n_body, link->out.data + link->out.start + from + sizeof head };
                assert(frame_parse(&frame, &content) == 0);
                link->pings_on_their_way += frame.type == WIRE_PING;
                if (frame.type == WIRE_MESSAGE || frame.type == WIRE_FRAGMENT) {
                        assert(link->pings_on_their_way == link->pings_sent);
                        assert(link->streams[content.message.stream].credit >= content.n_bytes);
                        link->streams[content.message.stream].credit -= content.n_bytes;
                }
                from += sizeof head + frame.n_body;
        }
}

static void fill(struct link *link, size_t limit) {
        size_t before = frame_buffer_length(&link->out);

        if (before >= limit)
                return;
        if (mux_fill(link->mux, &link->out, limit) < 0)
                abort();
        check_yield(link, before);
}

/* So many bytes, at most, of what is on its way. */
static bool carry(struct link *link, size_t n) {
        struct frame frame;
        void *to;
        size_t size;
        int r;

        frame_reader_buffer(link->reader, &to, &size);
        size = size < n ? size : n;
        size = size < frame_buffer_length(&link->out) ? size : frame_buffer_length(&link->out);
        if (size == 0)
                return true;
        memcpy(to, link->out.data + link->out.start, size);
        frame_buffer_take(&link->out, size);
        frame_reader_commit(link->reader, size);
        while ((r = frame_reader_next(link->reader, &frame)) == 0)
                if (!receive(link, &frame))
                        return false;
        assert(r == FRAME_MORE);
        return true;
}

static bool step(struct link *link) {
        unsigned what = next_byte(link), slot = what >> 4 & (STREAMS - 1);

        switch (what & 15) {
        case 0:
                open_stream(link, slot);
                return true;
        case 1:
        case 2:
        case 3:
        case 4:
                send_message(link, slot);
                return true;
        case 5:
                close_stream(link, slot);
                return true;
        case 6:
                ping(link);
                return true;
        case 7:
                know_window(link);
                return true;
        case 8:
        case 9:
                fill(link, 1 + next_number(link, 2 * WINDOW));
                return true;
        case 10:
        case 11:
                return carry(link, 1 + next_number(link, 2 * WINDOW));
        case 12:
                take(link);
                return true;
        case 13:
        case 14:
                give_credit_back(link);
                return true;
        default:
                cheat(link, slot);
                return true;
        }
}

/* Everybody does what he has to: then all that was sent has come. */
static bool settle(struct link *link) {
        bool moves = true;

        know_window(link);
        for (unsigned slot = 0; slot < STREAMS; slot++)
                close_stream(link, slot);
        while (moves) {
                moves = mux_ready(link->mux) || frame_buffer_length(&link->out) > 0 || link->n_delivered > 0 || frame_buffer_length(&link->credits) > 0;
                fill(link, WINDOW);
                if (!carry(link, SIZE_MAX))
                        return false;
                take(link);
                give_credit_back(link);
        }
        return true;
}

static void check_settled(const struct link *link) {
        assert(mux_queued(link->mux) == 0);
        assert(link->n_freed == link->n_messages);
        assert(link->pings_received == link->pings_sent);
        for (uint32_t id = 1; id < link->next_id; id++)
                assert(link->streams[id].state == GONE);
        assert(link->budget.used == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct link link = { .input = data, .n_input = n, .budget = { .limit = BUDGET }, .next_id = 1 };
        bool goes_on = true;

        if (frame_reader_new(&link.reader) < 0 || demux_new(&link.demux, WINDOW, &link.budget, on_credit, &link) < 0 ||
            mux_new(&link.mux, on_sent, &link) < 0)
                abort();
        while (goes_on && link.n_input > 0) {
                goes_on = step(&link);
                assert(link.budget.used <= link.budget.limit);
        }
        if (goes_on && settle(&link) && !link.cheated)
                check_settled(&link);
        mux_free(link.mux);
        demux_free(link.demux);
        frame_reader_free(link.reader);
        frame_buffer_done(&link.out);
        frame_buffer_done(&link.credits);
        return 0;
}
