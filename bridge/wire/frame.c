/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "frame.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READER_SIZE (2 * (sizeof(struct wire_head) + WIRE_BODY_MAX))

struct frame_reader {
        size_t start, end;
        uint8_t data[READER_SIZE];
};

int frame_reader_new(struct frame_reader **ret_reader) {
        struct frame_reader *reader = malloc(sizeof *reader);

        if (!reader)
                return -ENOMEM;
        reader->start = reader->end = 0;
        *ret_reader = reader;
        return 0;
}

struct frame_reader *frame_reader_free(struct frame_reader *reader) {
        free(reader);
        return NULL;
}

void frame_reader_buffer(struct frame_reader *reader, void **ret_data, size_t *ret_size) {
        /* What is left is less than a frame, or frame_reader_next() would not have asked for more. */
        if (reader->start > 0) {
                memmove(reader->data, reader->data + reader->start, reader->end - reader->start);
                reader->end -= reader->start;
                reader->start = 0;
        }
        *ret_data = reader->data + reader->end;
        *ret_size = READER_SIZE - reader->end;
}

void frame_reader_commit(struct frame_reader *reader, size_t n) {
        assert(n <= READER_SIZE - reader->end);
        reader->end += n;
}

int frame_reader_next(struct frame_reader *reader, struct frame *ret_frame) {
        struct wire_head untrusted_head;
        uint32_t untrusted_n_body;
        size_t n = reader->end - reader->start;

        if (n < sizeof untrusted_head)
                return FRAME_MORE;
        memcpy(&untrusted_head, reader->data + reader->start, sizeof untrusted_head);
        untrusted_n_body = le32toh(untrusted_head.n_body);
        if (untrusted_n_body > WIRE_BODY_MAX)
                return FRAME_VIOLATION;
        if (n < sizeof untrusted_head + untrusted_n_body)
                return FRAME_MORE;

        *ret_frame = (struct frame) {
                .type = le16toh(untrusted_head.type),
                .n_body = untrusted_n_body,
                .body = reader->data + reader->start + sizeof untrusted_head,
        };
        reader->start += sizeof untrusted_head + untrusted_n_body;
        return 0;
}

/* Meaning */

/* What is not read yet of a body. */
struct cursor {
        const uint8_t *p;
        size_t left;
};

static bool take_fixed(struct cursor *cursor, void *fixed, size_t n) {
        if (cursor->left < n)
                return false;
        memcpy(fixed, cursor->p, n);
        cursor->p += n;
        cursor->left -= n;
        return true;
}

static bool take_text(struct cursor *cursor, size_t n, size_t min, size_t max, struct frame_text *ret_text) {
        if (n < min || n > max || n > cursor->left || memchr(cursor->p, '\0', n))
                return false;
        *ret_text = (struct frame_text) { .text = (const char *) cursor->p, .n = n };
        cursor->p += n;
        cursor->left -= n;
        return true;
}

static bool parse_hello(struct cursor *cursor, struct frame_content *content) {
        struct wire_hello *hello = &content->hello;

        if (!take_fixed(cursor, hello, sizeof *hello))
                return false;
        hello->magic = le32toh(hello->magic);
        hello->version_min = le16toh(hello->version_min);
        hello->version_max = le16toh(hello->version_max);
        hello->features = le32toh(hello->features);
        hello->domain = le32toh(hello->domain);
        hello->epoch = le64toh(hello->epoch);
        hello->window = le32toh(hello->window);
        hello->message_max = le32toh(hello->message_max);
        hello->peers_max = le32toh(hello->peers_max);
        hello->names_max = le32toh(hello->names_max);
        return hello->magic == WIRE_MAGIC && hello->version_min <= hello->version_max && hello->version_min > 0 &&
               hello->window >= WIRE_FRAGMENT_MAX && hello->window <= WIRE_WINDOW_MAX && hello->message_max >= WIRE_MESSAGE_MIN;
}

static bool parse_peer(struct cursor *cursor, struct frame_content *content) {
        struct wire_peer peer;

        if (!take_fixed(cursor, &peer, sizeof peer))
                return false;
        content->id = le32toh(peer.id);
        content->hops = peer.hops;
        return content->id != 0 && take_text(cursor, le16toh(peer.n_name), 1, WIRE_NAME_MAX, &content->text);
}

static bool parse_name(struct cursor *cursor, struct frame_content *content) {
        struct wire_name name;

        if (!take_fixed(cursor, &name, sizeof name))
                return false;
        content->id = le32toh(name.id);
        return content->id != 0 && take_text(cursor, le16toh(name.n_name), 1, WIRE_NAME_MAX, &content->text);
}

static bool parse_name_gone(struct cursor *cursor, struct frame_content *content) {
        struct wire_name_gone gone;

        return take_fixed(cursor, &gone, sizeof gone) && take_text(cursor, le16toh(gone.n_name), 1, WIRE_NAME_MAX, &content->text);
}

static bool parse_activatable(struct cursor *cursor, struct frame_content *content) {
        struct wire_activatable activatable;

        if (!take_fixed(cursor, &activatable, sizeof activatable))
                return false;
        content->is = activatable.is == 1;
        content->hops = activatable.hops;
        return activatable.is <= 1 && take_text(cursor, le16toh(activatable.n_name), 1, WIRE_NAME_MAX, &content->text);
}

static bool parse_start(struct cursor *cursor, struct frame_content *content) {
        struct wire_start start;

        if (!take_fixed(cursor, &start, sizeof start))
                return false;
        content->tag = le64toh(start.tag);
        return take_text(cursor, le16toh(start.n_name), 1, WIRE_NAME_MAX, &content->text);
}

static bool parse_result(struct cursor *cursor, size_t min_error, struct frame_content *content) {
        struct wire_result result;

        if (!take_fixed(cursor, &result, sizeof result))
                return false;
        content->tag = le64toh(result.tag);
        return take_text(cursor, le16toh(result.n_error), min_error, WIRE_NAME_MAX, &content->error) &&
               take_text(cursor, le16toh(result.n_text), 0, WIRE_TEXT_MAX, &content->text);
}

static bool parse_subscribe(struct cursor *cursor, struct frame_content *content) {
        struct wire_subscribe subscribe;

        if (!take_fixed(cursor, &subscribe, sizeof subscribe))
                return false;
        content->id = le32toh(subscribe.id);
        return take_text(cursor, le16toh(subscribe.n_rule), 0, WIRE_RULE_MAX, &content->text);
}

static bool parse_id(struct cursor *cursor, struct frame_content *content) {
        uint32_t id;

        if (!take_fixed(cursor, &id, sizeof id))
                return false;
        content->id = le32toh(id);
        return true;
}

static bool parse_message(struct cursor *cursor, struct frame_content *content) {
        struct wire_message *message = &content->message;

        if (!take_fixed(cursor, message, sizeof *message))
                return false;
        message->stream = le32toh(message->stream);
        message->destination = le32toh(message->destination);
        message->call = le64toh(message->call);
        message->size = le32toh(message->size);
        message->flags = le32toh(message->flags);
        content->bytes = cursor->p;
        content->n_bytes = cursor->left;
        return message->size >= WIRE_MESSAGE_MIN && message->size <= WIRE_MESSAGE_MAX && cursor->left > 0 && cursor->left <= message->size;
}

static bool parse_fragment(struct cursor *cursor, struct frame_content *content) {
        struct wire_fragment fragment;

        if (!take_fixed(cursor, &fragment, sizeof fragment))
                return false;
        content->message = (struct wire_message) { .stream = le32toh(fragment.stream) };
        content->bytes = cursor->p;
        content->n_bytes = cursor->left;
        return cursor->left > 0;
}

static bool parse_credit(struct cursor *cursor, struct frame_content *content) {
        if (!take_fixed(cursor, &content->credit, sizeof content->credit))
                return false;
        content->credit.stream = le32toh(content->credit.stream);
        content->credit.n_bytes = le32toh(content->credit.n_bytes);
        return content->credit.n_bytes > 0;
}

static bool parse_ping(struct cursor *cursor, struct frame_content *content) {
        struct wire_ping ping;

        if (!take_fixed(cursor, &ping, sizeof ping))
                return false;
        content->tag = le64toh(ping.cookie);
        return true;
}

static bool parse_descriptors(struct cursor *cursor, struct frame_content *content) {
        struct wire_descriptors descriptors;

        if (!take_fixed(cursor, &descriptors, sizeof descriptors))
                return false;
        content->data.stream = le32toh(descriptors.stream);
        content->data.n = le16toh(descriptors.n);
        content->bytes = cursor->p;
        content->n_bytes = content->data.n * sizeof(struct wire_descriptor);
        return content->data.n > 0 && content->data.n <= WIRE_DESCRIPTORS_MAX && content->n_bytes <= cursor->left;
}

struct wire_descriptor frame_descriptor(const struct frame_content *content, unsigned i) {
        struct wire_descriptor descriptor;

        assert(i < content->data.n);
        memcpy(&descriptor, content->bytes + i * sizeof descriptor, sizeof descriptor);
        descriptor.id = le32toh(descriptor.id);
        descriptor.kind = le16toh(descriptor.kind);
        descriptor.size = le64toh(descriptor.size);
        descriptor.offset = le64toh(descriptor.offset);
        return descriptor;
}

/* What all of a descriptor's frames begin with. */
static bool set_data(struct frame_content *content, uint32_t id, uint8_t side) {
        content->data.id = le32toh(id);
        content->data.is_receivers = side == WIRE_RECEIVERS;
        return content->data.id != 0 && side <= WIRE_RECEIVERS;
}

static bool parse_data(struct cursor *cursor, struct frame_content *content) {
        struct wire_data data;

        if (!take_fixed(cursor, &data, sizeof data))
                return false;
        content->bytes = cursor->p;
        content->n_bytes = cursor->left;
        return set_data(content, data.id, data.side) && cursor->left > 0 && cursor->left <= WIRE_PACKET_MAX;
}

static bool parse_data_credit(struct cursor *cursor, struct frame_content *content) {
        struct wire_data_credit credit;

        if (!take_fixed(cursor, &credit, sizeof credit))
                return false;
        content->data.n_bytes = le32toh(credit.n_bytes);
        return set_data(content, credit.id, credit.side) && content->data.n_bytes > 0;
}

static bool parse_data_end(struct cursor *cursor, struct frame_content *content) {
        struct wire_data_end end;

        if (!take_fixed(cursor, &end, sizeof end))
                return false;
        content->data.reason = end.reason;
        return set_data(content, end.id, end.side);
}

static bool parse_goodbye(struct cursor *cursor, struct frame_content *content) {
        struct wire_goodbye_body goodbye;

        if (!take_fixed(cursor, &goodbye, sizeof goodbye))
                return false;
        content->reason = le32toh(goodbye.reason);
        return take_text(cursor, le16toh(goodbye.n_text), 0, WIRE_TEXT_MAX, &content->text);
}

static bool parse(const struct frame *frame, struct frame_content *content) {
        struct cursor cursor = { frame->body, frame->n_body };

        switch (frame->type) {
        case WIRE_HELLO:
                return parse_hello(&cursor, content);
        case WIRE_PEER:
                return parse_peer(&cursor, content);
        case WIRE_NAME:
                return parse_name(&cursor, content);
        case WIRE_NAME_GONE:
                return parse_name_gone(&cursor, content);
        case WIRE_ACTIVATABLE:
                return parse_activatable(&cursor, content);
        case WIRE_START:
                return parse_start(&cursor, content);
        case WIRE_STARTED:
                return parse_result(&cursor, 0, content);
        case WIRE_REFUSED:
                return parse_result(&cursor, 1, content);
        case WIRE_SUBSCRIBE:
                return parse_subscribe(&cursor, content);
        case WIRE_PEER_GONE:
        case WIRE_UNSUBSCRIBE:
                return parse_id(&cursor, content);
        case WIRE_MESSAGE:
                return parse_message(&cursor, content);
        case WIRE_FRAGMENT:
                return parse_fragment(&cursor, content);
        case WIRE_CREDIT:
                return parse_credit(&cursor, content);
        case WIRE_PING:
        case WIRE_PONG:
                return parse_ping(&cursor, content);
        case WIRE_DESCRIPTORS:
                return parse_descriptors(&cursor, content);
        case WIRE_DATA:
                return parse_data(&cursor, content);
        case WIRE_DATA_CREDIT:
                return parse_data_credit(&cursor, content);
        case WIRE_DATA_END:
        case WIRE_DATA_STOP:
                return parse_data_end(&cursor, content);
        case WIRE_GOODBYE:
                return parse_goodbye(&cursor, content);
        default:
                return true;
        }
}

int frame_parse(const struct frame *frame, struct frame_content *ret_content) {
        *ret_content = (struct frame_content) { .bytes = NULL };
        return parse(frame, ret_content) ? 0 : FRAME_VIOLATION;
}
