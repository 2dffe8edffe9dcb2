/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handover-state.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "XCPSTATE"
#define MAGIC_SIZE 8u
#define VERSION 1u
#define CHECKSUM_SIZE 8u

static uint64_t checksum(const uint8_t *data, size_t size) {
        uint64_t sum = UINT64_C(14695981039346656037);  /* FNV-1a, 64 bits: draft-eastlake-fnv */

        for (size_t i = 0; i < size; i++)
                sum = (sum ^ data[i]) * UINT64_C(1099511628211);
        return sum;
}

/* Writing */

static uint8_t *put(uint8_t *p, const void *data, size_t size) {
        if (size > 0)
                memcpy(p, data, size);
        return p + size;
}

static uint8_t *put_u32(uint8_t *p, uint32_t value) {
        value = htole32(value);
        return put(p, &value, sizeof value);
}

static uint8_t *put_u64(uint8_t *p, uint64_t value) {
        value = htole64(value);
        return put(p, &value, sizeof value);
}

static uint8_t *put_name(uint8_t *p, const char *name) {
        size_t n = strlen(name);

        return put(put_u32(p, (uint32_t) n), name, n);
}

static uint64_t encoded_size(const struct handover_state *state) {
        uint64_t size = MAGIC_SIZE + 4 + (4 + strlen(state->service)) + 4 + (4 + strlen(state->bus)) + 4 + CHECKSUM_SIZE;

        for (size_t i = 0; i < state->n_parts; i++)
                size += 4 + strlen(state->parts[i].name) + 8 + (uint64_t) state->parts[i].size;
        return size;
}

int handover_state_encode(const struct handover_state *state, uint8_t **ret_stream, size_t *ret_size) {
        uint64_t size = encoded_size(state);
        uint8_t *stream, *p;

        assert(state->n_parts <= HANDOVER_STATE_PARTS_MAX);

        if (size > HANDOVER_STATE_MAX)
                return -E2BIG;
        stream = malloc(size);
        if (!stream)
                return -ENOMEM;
        p = put(stream, MAGIC, MAGIC_SIZE);
        p = put_u32(p, VERSION);
        p = put_name(p, state->service);
        p = put_u32(p, state->schema);
        p = put_name(p, state->bus);
        p = put_u32(p, (uint32_t) state->n_parts);
        for (size_t i = 0; i < state->n_parts; i++) {
                p = put_name(p, state->parts[i].name);
                p = put_u64(p, state->parts[i].size);
                p = put(p, state->parts[i].data, state->parts[i].size);
        }
        p = put_u64(p, checksum(stream, (size_t) (p - stream)));
        assert((uint64_t) (p - stream) == size);
        *ret_stream = stream;
        *ret_size = (size_t) size;
        return 0;
}

/* Reading */

struct cursor {
        const uint8_t *p, *end;
};

static const uint8_t *take(struct cursor *cursor, uint64_t size) {
        const uint8_t *p = cursor->p;

        if (size > (uint64_t) (cursor->end - p))
                return NULL;
        cursor->p += size;
        return p;
}

static int take_u32(struct cursor *cursor, uint32_t *ret_value) {
        const uint8_t *p = take(cursor, sizeof *ret_value);

        if (!p)
                return -EBADMSG;
        memcpy(ret_value, p, sizeof *ret_value);
        *ret_value = le32toh(*ret_value);
        return 0;
}

static int take_u64(struct cursor *cursor, uint64_t *ret_value) {
        const uint8_t *p = take(cursor, sizeof *ret_value);

        if (!p)
                return -EBADMSG;
        memcpy(ret_value, p, sizeof *ret_value);
        *ret_value = le64toh(*ret_value);
        return 0;
}

static int take_name(struct cursor *cursor, char *ret_name) {
        const uint8_t *p;
        uint32_t n = 0;

        if (take_u32(cursor, &n) < 0 || n > HANDOVER_STATE_NAME_MAX || !(p = take(cursor, n)) || memchr(p, '\0', n) || memchr(p, '/', n))
                return -EBADMSG;
        memcpy(ret_name, p, n);
        ret_name[n] = '\0';
        return 0;
}

static int take_part(struct cursor *cursor, struct handover_part *part) {
        uint64_t size = 0;

        if (take_name(cursor, part->name) < 0 || take_u64(cursor, &size) < 0 || !(part->data = take(cursor, size)))
                return -EBADMSG;
        if (*part->name == '\0' || *part->name == '.')
                return -EBADMSG;
        part->size = (size_t) size;     /* no more than the stream has */
        return 0;
}

static int take_all(struct cursor *cursor, struct handover_state *state) {
        uint32_t n_parts = 0;
        int r;

        r = take_name(cursor, state->service);
        if (r >= 0)
                r = take_u32(cursor, &state->schema);
        if (r >= 0)
                r = take_name(cursor, state->bus);
        if (r >= 0)
                r = take_u32(cursor, &n_parts);
        if (r >= 0 && n_parts > HANDOVER_STATE_PARTS_MAX)
                r = -EBADMSG;
        for (; r >= 0 && state->n_parts < n_parts; state->n_parts++)
                r = take_part(cursor, &state->parts[state->n_parts]);
        return r < 0 || cursor->p == cursor->end ? r : -EBADMSG;
}

int handover_state_decode(const uint8_t *untrusted_stream, size_t size, struct handover_state *ret_state) {
        struct handover_state state = { .n_parts = 0 };
        struct cursor cursor = { untrusted_stream, untrusted_stream + size }, end;
        const uint8_t *magic;
        uint32_t version = 0;
        uint64_t sum = 0;
        int r;

        if (size > HANDOVER_STATE_MAX || size < MAGIC_SIZE + CHECKSUM_SIZE)
                return -EBADMSG;
        cursor.end -= CHECKSUM_SIZE;
        end = (struct cursor) { cursor.end, cursor.end + CHECKSUM_SIZE };
        magic = take(&cursor, MAGIC_SIZE);
        if (!magic || memcmp(magic, MAGIC, MAGIC_SIZE) != 0 || take_u32(&cursor, &version) < 0)
                return -EBADMSG;
        if (version != VERSION)
                return -EPROTONOSUPPORT;
        if (take_u64(&end, &sum) < 0 || sum != checksum(untrusted_stream, size - CHECKSUM_SIZE))
                return -EBADMSG;
        r = take_all(&cursor, &state);
        if (r < 0)
                return r;
        *ret_state = state;
        return 0;
}
