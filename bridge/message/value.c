/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "value.h"

#include "body.h"
#include "message.h"

size_t value_alignment(char type) {
        switch (type) {
        case 'y': case 'g': case 'v':
                return 1;
        case 'n': case 'q':
                return 2;
        case 'b': case 'i': case 'u': case 'h': case 's': case 'o': case 'a':
                return 4;
        case 'x': case 't': case 'd': case '(': case '{':
                return 8;
        default:
                return 0;
        }
}

/* The size of a value whose bytes may all be anything; 0 for other types. Such a type is aligned to its size. */
static size_t plain_size(char type) {
        switch (type) {
        case 'y': case 'n': case 'q': case 'i': case 'u': case 'x': case 't': case 'd':
                return value_alignment(type);
        default:
                return 0;
        }
}

int value_align(struct value_cursor *cursor, size_t alignment) {
        size_t aligned = align_up(cursor->at, alignment);

        if (aligned > cursor->n)
                return MESSAGE_TRUNCATED;
        for (; cursor->at < aligned; cursor->at++)
                if (cursor->p[cursor->at] != 0 && !cursor->skip)
                        return MESSAGE_BAD_PADDING;
        return 0;
}

/* Takes n bytes, aligned to alignment. */
static int take(struct value_cursor *cursor, size_t alignment, size_t n, const uint8_t **ret_p) {
        int r;

        r = value_align(cursor, alignment);
        if (r != 0)
                return r;
        if (n > cursor->n - cursor->at)
                return MESSAGE_TRUNCATED;
        *ret_p = cursor->p + cursor->at;
        cursor->at += n;
        return 0;
}

int value_u32(struct value_cursor *cursor, uint32_t *ret_value) {
        const uint8_t *p;
        int r;

        r = take(cursor, 4, 4, &p);
        if (r == 0)
                *ret_value = load_u32(p, cursor->big_endian);
        return r;
}

int value_u64(struct value_cursor *cursor, uint64_t *ret_value) {
        const uint8_t *p;
        int r;

        r = take(cursor, 8, 8, &p);
        if (r == 0)
                *ret_value = load_u64(p, cursor->big_endian);
        return r;
}

/* Takes n bytes and a NUL. */
static int take_text(struct value_cursor *cursor, size_t n, const char **ret_text) {
        const char *text;

        if (n >= cursor->n - cursor->at)
                return MESSAGE_TRUNCATED;
        text = (const char *) cursor->p + cursor->at;
        if (text[n] != '\0')
                return MESSAGE_BAD_STRING;
        cursor->at += n + 1;
        *ret_text = text;
        return 0;
}

int value_string(struct value_cursor *cursor, const char **ret_string, size_t *ret_n) {
        uint32_t n;
        int r;

        r = value_u32(cursor, &n);
        if (r != 0)
                return r;
        r = take_text(cursor, n, ret_string);
        if (r == 0)
                *ret_n = n;
        return r;
}

int value_signature(struct value_cursor *cursor, const char **ret_signature, struct signature *ret_read) {
        const uint8_t *n;
        const char *text;
        int r;

        r = take(cursor, 1, 1, &n);
        if (r != 0)
                return r;
        r = take_text(cursor, *n, &text);
        if (r != 0)
                return r;
        r = signature_read(text, *n, ret_read);
        if (r == 0)
                *ret_signature = text;
        return r;
}

static int check_boolean(const struct value_cursor *cursor, const uint8_t *p) {
        return cursor->skip || load_u32(p, cursor->big_endian) <= 1 ? 0 : MESSAGE_BAD_BOOLEAN;
}

static int check_handle(const struct value_cursor *cursor, const uint8_t *p) {
        return cursor->skip || load_u32(p, cursor->big_endian) < cursor->n_fds ? 0 : MESSAGE_BAD_HANDLE;
}

static int read_string(struct value_cursor *cursor, char type) {
        const char *string;
        size_t n;
        int r;

        r = value_string(cursor, &string, &n);
        if (r != 0 || cursor->skip)
                return r;
        if (type == 'o')
                return name_is_path(string, n) ? 0 : MESSAGE_BAD_VALUE_PATH;
        return name_is_utf8(string, n) ? 0 : MESSAGE_BAD_STRING;
}

/* Reads a value that holds no other. */
static int read_basic(struct value_cursor *cursor, char type) {
        const char *text;
        const uint8_t *p;
        struct signature signature;
        int r;

        switch (type) {
        case 's': case 'o':
                return read_string(cursor, type);
        case 'g':
                return value_signature(cursor, &text, &signature);
        case 'b':
                r = take(cursor, 4, 4, &p);
                return r != 0 ? r : check_boolean(cursor, p);
        case 'h':
                r = take(cursor, 4, 4, &p);
                return r != 0 ? r : check_handle(cursor, p);
        default:
                return take(cursor, value_alignment(type), plain_size(type), &p);
        }
}

/* A container that is being read. */
struct frame {
        const char *types;
        const struct signature *signature;
        uint8_t from, next, end;        /* in types: what it holds, and what comes next of that */
        bool is_array;
        size_t array_end;
};

struct walk {
        struct value_cursor *cursor;
        size_t depth;
        struct frame frames[BODY_DEPTH_MAX + 1];        /* the first is what was asked for */
        size_t n_variants;
        struct signature variants[BODY_DEPTH_MAX];      /* the signatures of those frames that are variants */
};

static int push(struct walk *walk, const struct frame *frame) {
        if (walk->depth == BODY_DEPTH_MAX)
                return MESSAGE_TOO_DEEP;
        walk->frames[++walk->depth] = *frame;
        return 0;
}

/* A variant's frame is the one whose signature is the last of walk->variants. */
static void pop(struct walk *walk) {
        const struct frame *frame = &walk->frames[walk->depth--];

        if (walk->n_variants > 0 && frame->signature == &walk->variants[walk->n_variants - 1] &&
            walk->frames[walk->depth].signature != frame->signature)
                walk->n_variants--;
}

static int enter_variant(struct walk *walk) {
        struct signature *signature;
        const char *types;
        int r;

        if (walk->n_variants == BODY_DEPTH_MAX)
                return MESSAGE_TOO_DEEP;
        signature = &walk->variants[walk->n_variants];
        r = value_signature(walk->cursor, &types, signature);
        if (r != 0)
                return r;
        if (!signature_is_single(signature))
                return MESSAGE_BAD_SIGNATURE;
        walk->n_variants++;
        return push(walk, &(struct frame) { .types = types, .signature = signature, .end = signature->n });
}

/* Reads the elements of an array of a basic type of fixed size as a whole. */
static int read_plain_array(struct value_cursor *cursor, char type, size_t array_end) {
        size_t size = value_alignment(type);
        int r;

        if ((array_end - cursor->at) % size != 0)
                return MESSAGE_BAD_ARRAY;
        if (type == 'b' || type == 'h')
                for (size_t at = cursor->at; at < array_end; at += size) {
                        r = type == 'b' ? check_boolean(cursor, cursor->p + at) : check_handle(cursor, cursor->p + at);
                        if (r != 0)
                                return r;
                }
        cursor->at = array_end;
        return 0;
}

/* from and end are where, in the frame's types, the element's type is. */
static int enter_array(struct walk *walk, const struct frame *frame, uint8_t from, uint8_t end) {
        struct value_cursor *cursor = walk->cursor;
        char element = frame->types[from];
        uint32_t untrusted_n;
        size_t array_end;
        int r;

        r = value_u32(cursor, &untrusted_n);
        if (r != 0)
                return r;
        r = value_align(cursor, value_alignment(element));      /* there even if there are no elements, and not counted */
        if (r != 0)
                return r;
        if (untrusted_n > BODY_ARRAY_MAX)
                return MESSAGE_BAD_ARRAY;
        if (untrusted_n > cursor->n - cursor->at)
                return MESSAGE_TRUNCATED;
        array_end = cursor->at + untrusted_n;

        if (cursor->skip) {
                cursor->at = array_end;
                return 0;
        }
        if (plain_size(element) || element == 'b' || element == 'h')
                return read_plain_array(cursor, element, array_end);
        if (cursor->at == array_end)
                return 0;
        return push(walk, &(struct frame) {
                .types = frame->types,
                .signature = frame->signature,
                .from = from,
                .next = from,
                .end = end,
                .is_array = true,
                .array_end = array_end,
        });
}

/* Reads the next value of a frame, or enters it if it is a container. */
static int step(struct walk *walk, struct frame *frame) {
        uint8_t from = frame->next, end = frame->signature->end[from];
        char type = frame->types[from];
        int r;

        frame->next = end;
        switch (type) {
        case 'v':
                return enter_variant(walk);
        case 'a':
                return enter_array(walk, frame, from + 1, end);
        case '(': case '{':
                r = value_align(walk->cursor, 8);
                if (r != 0)
                        return r;
                return push(walk, &(struct frame) { .types = frame->types, .signature = frame->signature,
                                                    .from = from + 1, .next = from + 1, .end = end - 1 });
        default:
                return read_basic(walk->cursor, type);
        }
}

int value_walk(struct value_cursor *cursor, const char *types, const struct signature *signature, size_t from, size_t end) {
        struct walk walk;
        int r;

        walk.cursor = cursor;           /* not all of it is set to zero: that is 18 KiB, of which hardly anything is used */
        walk.depth = walk.n_variants = 0;
        walk.frames[0] = (struct frame) { .types = types, .signature = signature, .from = from, .next = from, .end = end };

        for (;;) {
                struct frame *frame = &walk.frames[walk.depth];

                if (frame->next < frame->end) {
                        if (cursor->n_values_max-- == 0)
                                return MESSAGE_TOO_LARGE;
                        r = step(&walk, frame);
                        if (r != 0)
                                return r;
                } else if (frame->is_array && cursor->at < frame->array_end) {
                        frame->next = frame->from;
                } else if (frame->is_array && cursor->at > frame->array_end) {
                        return MESSAGE_BAD_ARRAY;
                } else if (walk.depth == 0) {
                        return 0;
                } else {
                        pop(&walk);
                }
        }
}
