/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making frames: frame.h, second half. */

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frame.h"

void frame_buffer_done(struct frame_buffer *buffer) {
        free(buffer->data);
        *buffer = (struct frame_buffer) FRAME_BUFFER_NULL;
}

void frame_buffer_take(struct frame_buffer *buffer, size_t n) {
        assert(n <= buffer->end - buffer->start);
        buffer->start += n;
        if (buffer->start == buffer->end)
                buffer->start = buffer->end = 0;
}

static int make_room(struct frame_buffer *buffer, size_t n) {
        size_t length = frame_buffer_length(buffer), size;
        uint8_t *data;

        if (buffer->size - buffer->end >= n)
                return 0;
        if (buffer->start > 0) {
                memmove(buffer->data, buffer->data + buffer->start, length);
                buffer->start = 0;
                buffer->end = length;
        }
        if (buffer->size - length >= n)
                return 0;
        for (size = buffer->size ? buffer->size : 4096; size - length < n; size *= 2)
                ;
        data = realloc(buffer->data, size);
        if (!data)
                return -ENOMEM;
        buffer->data = data;
        buffer->size = size;
        return 0;
}

static void put(struct frame_buffer *buffer, const void *data, size_t n) {
        if (n > 0)
                memcpy(buffer->data + buffer->end, data, n);
        buffer->end += n;
}

int frame_append(struct frame_buffer *buffer, uint16_t type, const void *fixed, size_t n_fixed, const void *first, size_t n_first,
                 const void *second, size_t n_second) {
        size_t n_body = n_fixed + n_first + n_second;
        const struct wire_head head = { .n_body = htole32((uint32_t) n_body), .type = htole16(type) };
        int r;

        if (n_body > WIRE_BODY_MAX)
                return -EMSGSIZE;
        r = make_room(buffer, sizeof head + n_body);
        if (r < 0)
                return r;
        put(buffer, &head, sizeof head);
        put(buffer, fixed, n_fixed);
        put(buffer, first, n_first);
        put(buffer, second, n_second);
        return 0;
}

/* For people. Not in the midst of a character: where one begins, D-Bus Specification, "Valid UTF-8". */
static uint16_t cut_text(const char *text) {
        size_t n = strlen(text);

        if (n > WIRE_TEXT_MAX)
                for (n = WIRE_TEXT_MAX; n > 0 && ((unsigned char) text[n] & 0xc0) == 0x80; n--)
                        ;
        return (uint16_t) n;
}

/* As a fixed part has it. append_text() refuses what it is too short for. */
static uint16_t length_of(const char *text) {
        return htole16((uint16_t) strlen(text));
}

/* For names and rules: cut, they would mean something else. */
static int append_text(struct frame_buffer *buffer, uint16_t type, const void *fixed, size_t n_fixed, const char *text, size_t max) {
        size_t n = strlen(text);

        return n > max ? -EMSGSIZE : frame_append(buffer, type, fixed, n_fixed, text, n, NULL, 0);
}

int frame_append_hello(struct frame_buffer *buffer, const struct wire_hello *hello) {
        struct wire_hello wire = *hello;

        wire.magic = htole32(hello->magic);
        wire.version_min = htole16(hello->version_min);
        wire.version_max = htole16(hello->version_max);
        wire.features = htole32(hello->features);
        wire.domain = htole32(hello->domain);
        wire.epoch = htole64(hello->epoch);
        wire.window = htole32(hello->window);
        wire.message_max = htole32(hello->message_max);
        wire.peers_max = htole32(hello->peers_max);
        wire.names_max = htole32(hello->names_max);
        return frame_append(buffer, WIRE_HELLO, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_peer(struct frame_buffer *buffer, uint32_t id, uint8_t hops, const char *name) {
        const struct wire_peer wire = { .id = htole32(id), .hops = hops, .n_name = length_of(name) };

        return append_text(buffer, WIRE_PEER, &wire, sizeof wire, name, WIRE_NAME_MAX);
}

int frame_append_peer_gone(struct frame_buffer *buffer, uint32_t id) {
        const struct wire_peer_gone wire = { htole32(id) };

        return frame_append(buffer, WIRE_PEER_GONE, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_name(struct frame_buffer *buffer, uint32_t id, const char *name) {
        const struct wire_name wire = { .id = htole32(id), .n_name = length_of(name) };

        return append_text(buffer, WIRE_NAME, &wire, sizeof wire, name, WIRE_NAME_MAX);
}

int frame_append_name_gone(struct frame_buffer *buffer, const char *name) {
        const struct wire_name_gone wire = { .n_name = length_of(name) };

        return append_text(buffer, WIRE_NAME_GONE, &wire, sizeof wire, name, WIRE_NAME_MAX);
}

int frame_append_activatable(struct frame_buffer *buffer, const char *name, bool is, uint8_t hops) {
        const struct wire_activatable wire = { .is = is, .hops = hops, .n_name = length_of(name) };

        return append_text(buffer, WIRE_ACTIVATABLE, &wire, sizeof wire, name, WIRE_NAME_MAX);
}

int frame_append_start(struct frame_buffer *buffer, uint64_t tag, const char *name) {
        const struct wire_start wire = { .tag = htole64(tag), .n_name = length_of(name) };

        return append_text(buffer, WIRE_START, &wire, sizeof wire, name, WIRE_NAME_MAX);
}

int frame_append_result(struct frame_buffer *buffer, uint16_t type, uint64_t tag, const char *error, const char *text) {
        const uint16_t n_text = cut_text(text);
        const struct wire_result wire = { .tag = htole64(tag), .n_error = length_of(error), .n_text = htole16(n_text) };
        size_t n_error = strlen(error);

        if (n_error > WIRE_NAME_MAX)
                return -EMSGSIZE;
        return frame_append(buffer, type, &wire, sizeof wire, error, n_error, text, n_text);
}

int frame_append_subscribe(struct frame_buffer *buffer, uint32_t id, const char *rule) {
        const struct wire_subscribe wire = { .id = htole32(id), .n_rule = length_of(rule) };

        return append_text(buffer, WIRE_SUBSCRIBE, &wire, sizeof wire, rule, WIRE_RULE_MAX);
}

int frame_append_unsubscribe(struct frame_buffer *buffer, uint32_t id) {
        const struct wire_unsubscribe wire = { htole32(id) };

        return frame_append(buffer, WIRE_UNSUBSCRIBE, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_message(struct frame_buffer *buffer, const struct wire_message *message, const void *bytes, size_t n_bytes) {
        const struct wire_message wire = {
                .stream = htole32(message->stream),
                .destination = htole32(message->destination),
                .call = htole64(message->call),
                .size = htole32(message->size),
                .flags = htole32(message->flags),
        };

        return frame_append(buffer, WIRE_MESSAGE, &wire, sizeof wire, bytes, n_bytes, NULL, 0);
}

int frame_append_fragment(struct frame_buffer *buffer, uint32_t stream, const void *bytes, size_t n_bytes) {
        const struct wire_fragment wire = { htole32(stream) };

        return frame_append(buffer, WIRE_FRAGMENT, &wire, sizeof wire, bytes, n_bytes, NULL, 0);
}

int frame_append_credit(struct frame_buffer *buffer, uint32_t stream, uint32_t n_bytes) {
        const struct wire_credit wire = { htole32(stream), htole32(n_bytes) };

        return frame_append(buffer, WIRE_CREDIT, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_ping(struct frame_buffer *buffer, uint16_t type, uint64_t cookie) {
        const struct wire_ping wire = { htole64(cookie) };

        return frame_append(buffer, type, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_descriptors(struct frame_buffer *buffer, uint32_t stream, const struct wire_descriptor *descriptors, uint16_t n) {
        const struct wire_descriptors wire = { .stream = htole32(stream), .n = htole16(n) };
        struct wire_descriptor list[WIRE_DESCRIPTORS_MAX];

        if (n > WIRE_DESCRIPTORS_MAX)
                return -EMSGSIZE;
        for (unsigned i = 0; i < n; i++)
                list[i] = (struct wire_descriptor) {
                        .id = htole32(descriptors[i].id),
                        .kind = htole16(descriptors[i].kind),
                        .size = htole64(descriptors[i].size),
                        .offset = htole64(descriptors[i].offset),
                };
        return frame_append(buffer, WIRE_DESCRIPTORS, &wire, sizeof wire, list, n * sizeof list[0], NULL, 0);
}

int frame_append_data(struct frame_buffer *buffer, uint32_t id, enum wire_side side, const void *bytes, size_t n_bytes) {
        const struct wire_data wire = { .id = htole32(id), .side = (uint8_t) side };

        return frame_append(buffer, WIRE_DATA, &wire, sizeof wire, bytes, n_bytes, NULL, 0);
}

int frame_append_data_credit(struct frame_buffer *buffer, uint32_t id, enum wire_side side, uint32_t n_bytes) {
        const struct wire_data_credit wire = { .id = htole32(id), .side = (uint8_t) side, .n_bytes = htole32(n_bytes) };

        return frame_append(buffer, WIRE_DATA_CREDIT, &wire, sizeof wire, NULL, 0, NULL, 0);
}

static int append_end(struct frame_buffer *buffer, uint16_t type, uint32_t id, enum wire_side side, enum wire_data_reason reason) {
        const struct wire_data_end wire = { .id = htole32(id), .side = (uint8_t) side, .reason = (uint8_t) reason };

        return frame_append(buffer, type, &wire, sizeof wire, NULL, 0, NULL, 0);
}

int frame_append_data_end(struct frame_buffer *buffer, uint32_t id, enum wire_side side, enum wire_data_reason reason) {
        return append_end(buffer, WIRE_DATA_END, id, side, reason);
}

int frame_append_data_stop(struct frame_buffer *buffer, uint32_t id, enum wire_side side) {
        return append_end(buffer, WIRE_DATA_STOP, id, side, WIRE_DATA_HALF);
}

int frame_append_goodbye(struct frame_buffer *buffer, enum wire_goodbye reason, const char *text) {
        uint16_t n_text = cut_text(text);
        const struct wire_goodbye_body wire = { .reason = htole32(reason), .n_text = htole16(n_text) };

        return frame_append(buffer, WIRE_GOODBYE, &wire, sizeof wire, text, n_text, NULL, 0);
}

static const char *const type_names[_WIRE_TYPE_N] = {
        [WIRE_HELLO] = "hello",           [WIRE_PEER] = "peer",         [WIRE_PEER_GONE] = "peer gone",
        [WIRE_NAME] = "name",             [WIRE_NAME_GONE] = "name gone", [WIRE_ACTIVATABLE] = "activatable",
        [WIRE_START] = "start",           [WIRE_STARTED] = "started",   [WIRE_SUBSCRIBE] = "subscribe",
        [WIRE_UNSUBSCRIBE] = "unsubscribe", [WIRE_MESSAGE] = "message", [WIRE_FRAGMENT] = "fragment",
        [WIRE_REFUSED] = "refused",       [WIRE_CREDIT] = "credit",     [WIRE_PING] = "ping",
        [WIRE_PONG] = "pong",             [WIRE_GOODBYE] = "goodbye",   [WIRE_DESCRIPTORS] = "descriptors",
        [WIRE_DATA] = "data",             [WIRE_DATA_CREDIT] = "data credit", [WIRE_DATA_END] = "data end",
        [WIRE_DATA_STOP] = "data stop",
};

const char *wire_type_name(uint16_t type) {
        return type < _WIRE_TYPE_N && type_names[type] ? type_names[type] : "unknown";
}
