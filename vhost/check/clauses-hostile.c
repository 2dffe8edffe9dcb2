/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses H: what a guest gets wrong is its own loss. After each, a new front-end finds the back-end as ever. */

#include <linux/virtio_blk.h>
#include <string.h>
#include <unistd.h>

#include "clauses.h"

#define READ_1 VIRTIO_BLK_T_IN, 0, 512, true

#define SPOILT(name, statement)                                         \
        static void spoil_##name(struct session *s) {                   \
                statement;                                              \
        }                                                               \
        static void name(struct session *s) {                           \
                MUST(s, session_start(s) == 0, " ");                    \
                block_spoilt(s, spoil_##name);                          \
        }

SPOILT(loop, s->driver.descriptors[2] = ((struct vhost_descriptor) { VHOST_DRIVER_GUEST, 1, VHOST_DESCRIPTOR_WRITE | VHOST_DESCRIPTOR_NEXT, 1 }))
SPOILT(next_out, s->driver.descriptors[0].next = RING_SIZE + 5)
SPOILT(nowhere, s->driver.descriptors[1].address = 0xdead0000)
SPOILT(address_wraps, s->driver.descriptors[1].address = UINT64_MAX - 100)
SPOILT(long_buffer, s->driver.descriptors[1].length = UINT32_MAX)
SPOILT(write_first, s->driver.descriptors[0].flags |= VHOST_DESCRIPTOR_WRITE; s->driver.descriptors[1].flags = VHOST_DESCRIPTOR_NEXT)
SPOILT(no_header, s->driver.descriptors[0].length = 8)
SPOILT(no_status, s->driver.descriptors[1].flags = VHOST_DESCRIPTOR_WRITE; s->driver.descriptors[1].length = 512; s->driver.descriptors[0].length = 4)
SPOILT(head_out, s->driver.available[2 + 1] = RING_SIZE + 1)
SPOILT(index_jumps, s->driver.available_idx = (uint16_t) (s->driver.available_idx + 1000))
SPOILT(indirect_of_itself, s->driver.descriptors[0] = ((struct vhost_descriptor) { vhost_driver_memory_guest(&s->memory, s->driver.descriptors), 16, VHOST_DESCRIPTOR_INDIRECT, 0 }))
SPOILT(indirect_nowhere, s->driver.descriptors[0] = ((struct vhost_descriptor) { 0xdead0000, 48, VHOST_DESCRIPTOR_INDIRECT, 0 }))
SPOILT(indirect_odd, s->driver.descriptors[0] = ((struct vhost_descriptor) { VHOST_DRIVER_GUEST, 47, VHOST_DESCRIPTOR_INDIRECT, 0 }))

static void ring_nowhere(struct session *s) {
        const struct vhost_vring_address address = { .descriptor = 0x1000, .available = 0x2000, .used = 0x3000 };

        MUST(s, session_start(s) == 0, " ");
        vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        vhost_driver_kick(&s->driver);
        MUST(s, session_is_alive(s), " ");
}

static void memory_removed(struct session *s) {
        union vhost_payload payload = {};

        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS), "CONFIGURE_MEM_SLOTS");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        payload.slot.region = vhost_driver_memory_region(&s->memory);
        vhost_frontend_tell(&s->frontend, VHOST_USER_REM_MEM_REG, &payload, sizeof payload.slot, NULL, 0);
        block_describe(s, READ_1);
        block_send(s);
        MUST(s, !block_comes(s), "it uses memory that was taken back");
        MUST(s, session_is_alive(s), " ");
}

static void memory_shrinks(struct session *s) {
        MUST(s, session_start(s) == 0, " ");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        block_describe(s, READ_1);
        MUST(s, ftruncate(s->memory.fd, 0) == 0, "cannot truncate");
        vhost_driver_kick(&s->driver);
        usleep((unsigned) s->quiet_ms * 1000);
        MUST(s, session_is_alive(s), " ");
}

const struct clause clauses_hostile[] = {
        { "H-1", "MUST", "a chain that is a loop", loop, false },
        { "H-2", "MUST", "a next descriptor beyond the table", next_out, false },
        { "H-3", "MUST", "a buffer outside of memory", nowhere, false },
        { "H-4", "MUST", "a buffer past the end of the address space", address_wraps, false },
        { "H-5", "MUST", "a buffer of 4 GiB", long_buffer, false },
        { "H-6", "MUST", "a buffer to read behind one to write", write_first, false },
        { "H-7", "MUST", "a header that is too short", no_header, false },
        { "H-8", "MUST", "no header and no status", no_status, false },
        { "H-9", "MUST", "a head beyond the table", head_out, false },
        { "H-10", "MUST", "an available index that jumps", index_jumps, false },
        { "H-11", "MUST", "an indirect table that is its own descriptor", indirect_of_itself, false },
        { "H-12", "MUST", "an indirect table outside of memory", indirect_nowhere, false },
        { "H-13", "MUST", "an indirect table of an odd size", indirect_odd, false },
        { "H-14", "MUST", "a ring outside of memory", ring_nowhere, false },
        { "H-15", "MUST", "memory that is taken back while its ring is in it", memory_removed, false },
        { "H-16", "MUST", "memory whose file is made shorter", memory_shrinks, false },
        {},
};
