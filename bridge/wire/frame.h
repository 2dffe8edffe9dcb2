/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Frames: cut out of the bytes that come from another domain, and made for those that go there.
 *
 * The reader is fed bytes in whatever pieces the ring gives, and yields whole frames. It never looks at memory that the peer can still
 * write: its input is a buffer of its own. It does no I/O, and does not allocate after it was made.
 *
 * frame_parse_...() gives meaning to one frame's body: it has checked all that can be checked without knowing what came before.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layout.h"

enum frame_outcome {                    /* positive results of the functions below */
        FRAME_MORE = 1,                 /* feed more bytes */
        FRAME_VIOLATION,                /* the peer broke the protocol: close the link */
};

struct frame {
        uint16_t type;                  /* enum wire_type, or one that this version does not know */
        uint32_t n_body;
        const uint8_t *body;            /* valid until the next call on the reader */
};

struct frame_reader;

int frame_reader_new(struct frame_reader **ret_reader);
struct frame_reader *frame_reader_free(struct frame_reader *reader);

/* Room for the next bytes, at least one, once frame_reader_next() has said FRAME_MORE. */
void frame_reader_buffer(struct frame_reader *reader, void **ret_data, size_t *ret_size);
void frame_reader_commit(struct frame_reader *reader, size_t n);

/* 0 and a frame, FRAME_MORE, or FRAME_VIOLATION. */
int frame_reader_next(struct frame_reader *reader, struct frame *ret_frame);

/* A string in a frame: not ended by a null byte, and without one in it. */
struct frame_text {
        const char *text;
        size_t n;
};

/* What a frame says, in this machine's byte order; which of it is set depends on the type. */
struct frame_content {
        union {
                struct wire_hello hello;
                uint32_t id;            /* peer, peer gone, name, subscribe, unsubscribe */
                struct wire_message message;    /* the stream alone, for a fragment */
                struct wire_credit credit;
                uint64_t tag;           /* start, started, refused; the cookie of a ping */
                uint32_t reason;        /* goodbye */
                struct {                /* descriptors, and all of data */
                        uint32_t stream;        /* descriptors: the message's */
                        uint32_t id;
                        bool is_receivers;      /* the id is one of the receiver's of this frame */
                        uint32_t n_bytes;       /* data credit */
                        uint16_t reason;        /* data end */
                        uint16_t n;             /* descriptors */
                } data;
        };
        uint8_t hops;                   /* peer, activatable */
        bool is;                        /* activatable */
        struct frame_text text;         /* name, rule or sentence */
        struct frame_text error;        /* an error's name */
        const uint8_t *bytes;           /* of a message, or data; of descriptors, frame_descriptor() reads them */
        size_t n_bytes;
};

/* 0, or FRAME_VIOLATION. For types that are not known: 0, and nothing is set. */
int frame_parse(const struct frame *frame, struct frame_content *ret_content);

/* The descriptor of this number, less than content->data.n; its kind may be one that this version does not know. */
struct wire_descriptor frame_descriptor(const struct frame_content *content, unsigned i);

/* Making frames: a buffer that grows, and is taken from at its beginning. */
struct frame_buffer {
        uint8_t *data;
        size_t start, end, size;
};

#define FRAME_BUFFER_NULL { .data = NULL }

void frame_buffer_done(struct frame_buffer *buffer);
static inline size_t frame_buffer_length(const struct frame_buffer *buffer) {
        return buffer->end - buffer->start;
}
void frame_buffer_take(struct frame_buffer *buffer, size_t n);

/* Appends a frame of two or three parts: the fixed part, and what follows it. -ENOMEM, or -EMSGSIZE for more than WIRE_BODY_MAX. */
int frame_append(struct frame_buffer *buffer, uint16_t type, const void *fixed, size_t n_fixed, const void *first, size_t n_first,
                 const void *second, size_t n_second);

/* The frames that are more than a fixed part. Strings that are too long are cut if they are for people, and else are -EMSGSIZE. */
int frame_append_hello(struct frame_buffer *buffer, const struct wire_hello *hello);    /* hello in this machine's byte order */
int frame_append_peer(struct frame_buffer *buffer, uint32_t id, uint8_t hops, const char *name);
int frame_append_peer_gone(struct frame_buffer *buffer, uint32_t id);
int frame_append_name(struct frame_buffer *buffer, uint32_t id, const char *name);
int frame_append_name_gone(struct frame_buffer *buffer, const char *name);
int frame_append_activatable(struct frame_buffer *buffer, const char *name, bool is, uint8_t hops);
int frame_append_start(struct frame_buffer *buffer, uint64_t tag, const char *name);
int frame_append_result(struct frame_buffer *buffer, uint16_t type, uint64_t tag, const char *error, const char *text);
int frame_append_subscribe(struct frame_buffer *buffer, uint32_t id, const char *rule);
int frame_append_unsubscribe(struct frame_buffer *buffer, uint32_t id);
int frame_append_message(struct frame_buffer *buffer, const struct wire_message *message, const void *bytes, size_t n_bytes);
int frame_append_fragment(struct frame_buffer *buffer, uint32_t stream, const void *bytes, size_t n_bytes);
int frame_append_credit(struct frame_buffer *buffer, uint32_t stream, uint32_t n_bytes);
int frame_append_ping(struct frame_buffer *buffer, uint16_t type, uint64_t cookie);
int frame_append_descriptors(struct frame_buffer *buffer, uint32_t stream, const struct wire_descriptor *descriptors, uint16_t n);
int frame_append_data(struct frame_buffer *buffer, uint32_t id, enum wire_side side, const void *bytes, size_t n_bytes);
int frame_append_data_credit(struct frame_buffer *buffer, uint32_t id, enum wire_side side, uint32_t n_bytes);
int frame_append_data_end(struct frame_buffer *buffer, uint32_t id, enum wire_side side, enum wire_data_reason reason);
int frame_append_data_stop(struct frame_buffer *buffer, uint32_t id, enum wire_side side);
int frame_append_goodbye(struct frame_buffer *buffer, enum wire_goodbye reason, const char *text);

static inline void frame_reader_freep(struct frame_reader **reader) {
        frame_reader_free(*reader);
}
