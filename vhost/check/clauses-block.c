/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses B: requests of a block device (VIRTIO 1.2 §5.2.6). Whatever is written goes to the first MiB. */

#include <linux/virtio_blk.h>
#include <string.h>

#include "clauses.h"

#define RANGE_AT 1024u                  /* sectors: of what is discarded and zeroed */

static bool begin(struct session *s, unsigned feature) {
        if (session_start(s) < 0)
                return false;
        if (feature > 0 && !(s->features & 1u << feature))
                session_not_offered(s, feature == VIRTIO_BLK_F_DISCARD ? "DISCARD" : feature == VIRTIO_BLK_F_FLUSH ? "FLUSH" : "WRITE_ZEROES");
        if (s->features & (1u << VIRTIO_BLK_F_RO))
                session_not_offered(s, "writing: it is read-only");
        return s->verdict == VERDICT_PASSED;
}

static void expect(struct session *s, int status, int expected) {
        if (status != expected)
                session_fail(s, status < 0 ? "no answer: %s" : "its status is %s%d, and not %d", status < 0 ? strerror(-status) : "", status, expected);
}

static void write_read(struct session *s) {
        if (!begin(s, 0))
                return;
        for (uint32_t n = 512; n <= DATA_MAX / 2; n *= 4) {
                for (uint32_t i = 0; i < n; i++)
                        s->buffer[DATA + i] = (uint8_t) (i * 7 + n / 512);
                MUST(s, block_do(s, VIRTIO_BLK_T_OUT, 8, n, false) == 0, "a write of %u bytes fails", n);
                memset(s->buffer + DATA, 0, n);
                MUST(s, block_do(s, VIRTIO_BLK_T_IN, 8, n, true) == 0, "a read of %u bytes fails", n);
                for (uint32_t i = 0; i < n; i++)
                        MUST(s, s->buffer[DATA + i] == (uint8_t) (i * 7 + n / 512), "byte %u of %u is another than was written", i, n);
        }
}

static void flush(struct session *s) {
        if (begin(s, VIRTIO_BLK_F_FLUSH))
                expect(s, block_do(s, VIRTIO_BLK_T_FLUSH, 0, 0, false), VIRTIO_BLK_S_OK);
}

static void id(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        memset(s->buffer + DATA, 0xee, 32);
        expect(s, block_do(s, VIRTIO_BLK_T_GET_ID, 0, 20, true), VIRTIO_BLK_S_OK);
        MUST(s, s->buffer[DATA] != 0xee || s->buffer[DATA + 19] != 0xee, "nothing was written");
        MUST(s, s->buffer[DATA + 20] == 0xee, "more than 20 bytes were written");
}

static void unknown(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        expect(s, block_do(s, 0x7777, 0, 512, true), VIRTIO_BLK_S_UNSUPP);
}

static void beyond(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_CONFIG), "CONFIG");
        expect(s, block_do(s, VIRTIO_BLK_T_IN, s->capacity, 512, true), VIRTIO_BLK_S_IOERR);
        expect(s, block_do(s, VIRTIO_BLK_T_IN, s->capacity - 1, 1024, true), VIRTIO_BLK_S_IOERR);
        expect(s, block_do(s, VIRTIO_BLK_T_IN, s->capacity - 1, 512, true), VIRTIO_BLK_S_OK);
}

static void wraps(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        expect(s, block_do(s, VIRTIO_BLK_T_IN, UINT64_MAX, 512, true), VIRTIO_BLK_S_IOERR);
        expect(s, block_do(s, VIRTIO_BLK_T_IN, UINT64_MAX / 512 + 1, 512, true), VIRTIO_BLK_S_IOERR);
}

static void odd_length(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        expect(s, block_do(s, VIRTIO_BLK_T_IN, 0, 513, true), VIRTIO_BLK_S_IOERR);
}

static int do_ranges(struct session *s, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags, uint32_t n_ranges) {
        struct virtio_blk_discard_write_zeroes *range = (void *) (s->buffer + DATA);

        for (uint32_t i = 0; i < n_ranges; i++)
                range[i] = (struct virtio_blk_discard_write_zeroes) { .sector = sector, .num_sectors = n, .flags = flags };
        return block_do(s, type, 0, n_ranges * (uint32_t) sizeof *range, false);
}

static void discard(struct session *s) {
        if (begin(s, VIRTIO_BLK_F_DISCARD))
                expect(s, do_ranges(s, VIRTIO_BLK_T_DISCARD, RANGE_AT, 8, 0, 1), VIRTIO_BLK_S_OK);
}

static void discard_flags(struct session *s) {
        if (begin(s, VIRTIO_BLK_F_DISCARD))
                expect(s, do_ranges(s, VIRTIO_BLK_T_DISCARD, RANGE_AT, 8, VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP, 1), VIRTIO_BLK_S_UNSUPP);
}

static void too_many_ranges(struct session *s) {
        union vhost_payload payload = { .config = { .offset = 40, .size = 4 } };
        VHOST_AUTO_MESSAGE reply = {};
        uint32_t max;

        if (!begin(s, VIRTIO_BLK_F_DISCARD))
                return;
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_CONFIG), "CONFIG");
        MUST(s, vhost_frontend_ask(&s->frontend, VHOST_USER_GET_CONFIG, &payload, VHOST_CONFIG_HEADER + 4, &reply) == 0, "no reply");
        memcpy(&max, reply.payload.config.bytes, sizeof max);
        OFFERED(s, max < 200, "a limit of ranges");
        expect(s, do_ranges(s, VIRTIO_BLK_T_DISCARD, RANGE_AT, 8, 0, max + 1), VIRTIO_BLK_S_UNSUPP);
}

static void zeroes(struct session *s) {
        if (!begin(s, VIRTIO_BLK_F_WRITE_ZEROES))
                return;
        for (uint32_t flags = 0; flags <= VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP; flags++) {
                memset(s->buffer + DATA, 0xaa, 8192);
                expect(s, block_do(s, VIRTIO_BLK_T_OUT, RANGE_AT, 8192, false), VIRTIO_BLK_S_OK);
                expect(s, do_ranges(s, VIRTIO_BLK_T_WRITE_ZEROES, RANGE_AT + 1, 8, flags, 1), VIRTIO_BLK_S_OK);
                expect(s, block_do(s, VIRTIO_BLK_T_IN, RANGE_AT, 8192, true), VIRTIO_BLK_S_OK);
                for (uint32_t i = 0; i < 8192 && s->verdict == VERDICT_PASSED; i++)
                        MUST(s, s->buffer[DATA + i] == (i >= 512 && i < 512 + 4096 ? 0 : 0xaa), "with flags %u, byte %u is %#x", flags, i,
                             s->buffer[DATA + i]);
        }
}

static void zeroes_flags(struct session *s) {
        if (begin(s, VIRTIO_BLK_F_WRITE_ZEROES))
                expect(s, do_ranges(s, VIRTIO_BLK_T_WRITE_ZEROES, RANGE_AT, 8, 2, 1), VIRTIO_BLK_S_UNSUPP);
}

static void zeroes_too_many(struct session *s) {
        if (begin(s, VIRTIO_BLK_F_WRITE_ZEROES))
                expect(s, do_ranges(s, VIRTIO_BLK_T_WRITE_ZEROES, 0, UINT32_MAX, 0, 1), VIRTIO_BLK_S_IOERR);
}

/* VERSION_1 implies that a device does not mind how a request is cut (VIRTIO 1.2 §2.7.4). */
static void header_with_data(struct session *s) {
        if (!begin(s, 0))
                return;
        block_describe(s, VIRTIO_BLK_T_OUT, 8, 512, false);
        memset(s->buffer + 16, 0x3c, 512);
        s->driver.descriptors[0].length = 16 + 512;
        s->driver.descriptors[0].next = 2;
        MUST(s, block_send(s) == 0, "cannot kick");
        expect(s, block_wait(s), VIRTIO_BLK_S_OK);
        expect(s, block_do(s, VIRTIO_BLK_T_IN, 8, 512, true), VIRTIO_BLK_S_OK);
        MUST(s, s->buffer[DATA] == 0x3c && s->buffer[DATA + 511] == 0x3c, "what was written is not what was read");
}

static void data_with_status(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        block_describe(s, VIRTIO_BLK_T_IN, 0, 512, true);
        s->buffer[DATA + 512] = 0xff;
        s->driver.descriptors[1].length = 513;
        s->driver.descriptors[1].flags = VHOST_DESCRIPTOR_WRITE;
        MUST(s, block_send(s) == 0 && block_wait(s) >= 0, "no answer");
        expect(s, s->buffer[DATA + 512], VIRTIO_BLK_S_OK);
}

static void header_in_pieces(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        block_describe(s, VIRTIO_BLK_T_GET_ID, 0, 20, true);
        s->driver.descriptors[0].length = 5;
        s->driver.descriptors[0].next = 5;
        vhost_driver_describe(&s->driver, 5, s->buffer + 5, 11, false, false);
        s->driver.descriptors[5].next = 1;
        MUST(s, block_send(s) == 0, "cannot kick");
        expect(s, block_wait(s), VIRTIO_BLK_S_OK);
}

static void many_pieces(struct session *s) {
        if (!begin(s, 0))
                return;
        for (uint32_t i = 0; i < 40 * 512; i++)
                s->buffer[DATA + i] = (uint8_t) (i / 512 + 1);
        expect(s, block_do(s, VIRTIO_BLK_T_OUT, 8, 40 * 512, false), VIRTIO_BLK_S_OK);
        memset(s->buffer + DATA, 0, 40 * 512);
        block_describe(s, VIRTIO_BLK_T_IN, 8, 512, true);
        for (uint16_t i = 0; i < 40; i++)       /* in an order of their own */
                vhost_driver_describe(&s->driver, (uint16_t) (i + 1), s->buffer + DATA + (39 - i) * 512, 512, true, false);
        vhost_driver_describe(&s->driver, 41, s->buffer + 4096, 1, true, true);
        MUST(s, block_send(s) == 0, "cannot kick");
        expect(s, block_wait(s), VIRTIO_BLK_S_OK);
        for (uint32_t i = 0; i < 40; i++)
                MUST(s, s->buffer[DATA + i * 512] == 40 - i, "piece %u has sector %u", 39 - i, s->buffer[DATA + i * 512] - 1u);
}

const struct clause clauses_block[] = {
        { "B-1", "MUST", "what was written is what is read", write_read, true },
        { "B-2", "MUST", "FLUSH succeeds", flush, false },
        { "B-3", "MUST", "GET_ID writes up to 20 bytes", id, false },
        { "B-4", "MUST", "an unknown type is UNSUPP", unknown, false },
        { "B-5", "MUST", "what is beyond the capacity is IOERR, and its last sector is not", beyond, false },
        { "B-6", "MUST", "a sector whose number of bytes wraps is IOERR", wraps, false },
        { "B-7", "MUST", "a length that is no multiple of 512 is IOERR", odd_length, false },
        { "B-8", "MUST", "DISCARD succeeds", discard, true },
        { "B-9", "MUST", "DISCARD with a flag is UNSUPP", discard_flags, true },
        { "B-10", "MUST", "DISCARD of more ranges than max_discard_seg is UNSUPP", too_many_ranges, true },
        { "B-11", "MUST", "after WRITE_ZEROES that range reads as zeros, and nothing else", zeroes, true },
        { "B-12", "MUST", "WRITE_ZEROES with a reserved flag is UNSUPP", zeroes_flags, true },
        { "B-13", "MUST", "WRITE_ZEROES of more sectors than there are is IOERR", zeroes_too_many, true },
        { "B-14", "MUST", "header and data may be one descriptor", header_with_data, true },
        { "B-15", "MUST", "data and status may be one descriptor", data_with_status, false },
        { "B-16", "MUST", "the header may be cut", header_in_pieces, false },
        { "B-17", "MUST", "data may be in many pieces", many_pieces, true },
        {},
};
