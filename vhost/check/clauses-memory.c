/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clauses S: memory, its slots, and the dirty log. */

#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clauses.h"

#define READ_1 VIRTIO_BLK_T_IN, 0, 512, true
#define ELSEWHERE UINT64_C(0x80000000)

static int tell_slot(struct session *s, uint32_t request, const struct vhost_region *region, int fd) {
        union vhost_payload payload = { .slot.region = *region };

        return vhost_frontend_tell(&s->frontend, request, &payload, sizeof payload.slot, &fd, fd >= 0);
}

static bool begin_slots(struct session *s) {
        if (session_start(s) < 0)
                return false;
        if (!session_has(s, VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS) || !session_has(s, VHOST_PROTOCOL_F_REPLY_ACK))
                session_not_offered(s, "CONFIGURE_MEM_SLOTS and REPLY_ACK");
        return s->verdict == VERDICT_PASSED;
}

/* All of the session's memory, once more. */
static struct vhost_region other_region(void) {
        return (struct vhost_region) { .guest_address = ELSEWHERE, .size = SESSION_MEMORY, .user_address = ELSEWHERE };
}

static void slots(struct session *s) {
        uint64_t n;

        if (!begin_slots(s))
                return;
        MUST(s, vhost_frontend_ask_u64(&s->frontend, VHOST_USER_GET_MAX_MEM_SLOTS, &n) == 0, "no reply to GET_MAX_MEM_SLOTS");
        MUST(s, n >= 1, "it has no slot");
        for (uint64_t i = 1; i < n && i < 512; i++) {
                struct vhost_region region = { ELSEWHERE + i * 4096, 4096, ELSEWHERE + i * 4096, 0 };

                MUST(s, tell_slot(s, VHOST_USER_ADD_MEM_REG, &region, s->memory.fd) == 0, "of %llu slots, the %lluth is refused",
                     (unsigned long long) n, (unsigned long long) i + 1);
        }
        MUST(s, block_do(s, READ_1) == 0, "a read fails with all slots taken");
}

static void add_remove(struct session *s) {
        struct vhost_region region = other_region();

        if (!begin_slots(s))
                return;
        for (int i = 0; i < 100; i++) {
                MUST(s, tell_slot(s, VHOST_USER_ADD_MEM_REG, &region, s->memory.fd) == 0, "the %dth region is refused", i + 1);
                MUST(s, block_do(s, READ_1) == 0, "a read fails after a region was added");
                MUST(s, tell_slot(s, VHOST_USER_REM_MEM_REG, &region, -1) == 0, "it cannot be removed");
                MUST(s, block_do(s, READ_1) == 0, "a read fails after a region was removed");
        }
}

static void remove_with_fd(struct session *s) {
        struct vhost_region region = other_region();

        if (!begin_slots(s))
                return;
        for (int i = 0; i < 2000; i++) {        /* more than a process may have open */
                MUST(s, tell_slot(s, VHOST_USER_ADD_MEM_REG, &region, s->memory.fd) == 0, "the %dth region is refused", i + 1);
                MUST(s, tell_slot(s, VHOST_USER_REM_MEM_REG, &region, s->memory.fd) == 0, "refused, the %dth time", i + 1);
        }
}

static void remove_unknown(struct session *s) {
        struct vhost_region region = other_region();
        union vhost_payload payload = { .slot.region = region };

        if (!begin_slots(s))
                return;
        MUST(s, session_is_refused(s, VHOST_USER_REM_MEM_REG, &payload, sizeof payload.slot, NULL, 0), "a region that was not added is removed");
}

static void refuse_region(struct session *s, struct vhost_region region, const char *what) {
        union vhost_payload payload = { .slot.region = region };

        if (!begin_slots(s))
                return;
        if (!session_is_refused(s, VHOST_USER_ADD_MEM_REG, &payload, sizeof payload.slot, &s->memory.fd, 1))
                session_fail(s, "a region %s is taken", what);
        else
                session_is_alive(s);
}

static void region_past_file(struct session *s) {
        refuse_region(s, (struct vhost_region) { ELSEWHERE, 1 << 20, ELSEWHERE, 4096 }, "that its file does not have");
}

static void region_wraps(struct session *s) {
        refuse_region(s, (struct vhost_region) { UINT64_MAX - 4095, 8192, ELSEWHERE, 0 }, "past the end of the address space");
}

static void region_overlaps(struct session *s) {
        refuse_region(s, (struct vhost_region) { VHOST_DRIVER_GUEST + 4096, 4096, ELSEWHERE, 0 }, "over another");
}

static void table(struct session *s) {
        union vhost_payload payload = { .memory = { .n_regions = 2 } };
        int fds[2], r;

        MUST(s, session_start(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_REPLY_ACK), "REPLY_ACK");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        fds[0] = fds[1] = s->memory.fd;
        payload.memory.regions[0] = vhost_driver_memory_region(&s->memory);
        payload.memory.regions[1] = other_region();
        r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_MEM_TABLE, &payload, 8 + 2 * sizeof(struct vhost_region), fds, 2);
        MUST(s, r == 0, "SET_MEM_TABLE is refused while a ring runs");
        MUST(s, block_do(s, READ_1) == 0, "a read fails after it");
}

static void across_regions(struct session *s) {
        struct vhost_region a = { ELSEWHERE, 4096, ELSEWHERE, 0 }, b = { ELSEWHERE + 4096, 4096, ELSEWHERE + (1 << 20), 4096 };
        uint8_t *data;

        if (!begin_slots(s))
                return;
        data = s->buffer + DATA;
        a.mmap_offset = (uint64_t) (data - s->memory.base);
        b.mmap_offset = a.mmap_offset + 3 * 4096;       /* not what follows in the file */
        MUST(s, tell_slot(s, VHOST_USER_ADD_MEM_REG, &a, s->memory.fd) == 0 && tell_slot(s, VHOST_USER_ADD_MEM_REG, &b, s->memory.fd) == 0,
             "regions are refused");
        MUST(s, block_do(s, VIRTIO_BLK_T_IN, 0, 1024, true) == 0, "a read fails");
        memcpy(data + 8 * 4096, data, 1024);
        memset(data, 0x5a, 8 * 4096);
        block_describe(s, VIRTIO_BLK_T_IN, 0, 1024, true);
        s->driver.descriptors[1].address = ELSEWHERE + 4096 - 512;
        MUST(s, block_send(s) == 0 && block_wait(s) == 0, "a read into two regions that follow each other fails");
        MUST(s, memcmp(data + 4096 - 512, data + 8 * 4096, 512) == 0, "the first half of it went elsewhere");
        MUST(s, memcmp(data + 3 * 4096, data + 8 * 4096 + 512, 512) == 0, "the second half of it went elsewhere");
}

static void dirty_log(struct session *s) {
        const size_t size = 4096;
        union vhost_payload payload = { .log = { .size = size } };
        struct vhost_vring_address address;
        VHOST_AUTO_MESSAGE reply = {};
        uint64_t page;
        uint8_t *bits;
        int fd, r;

        MUST(s, session_connect(s) == 0, " ");
        OFFERED(s, session_has(s, VHOST_PROTOCOL_F_LOG_SHMFD) && s->features & VHOST_BIT(VHOST_F_LOG_ALL), "LOG_SHMFD and LOG_ALL");
        MUST(s, session_negotiate(s, VHOST_BIT(VHOST_F_EVENT_IDX)) == 0 && session_start(s) == 0, " ");
        fd = memfd_create("log", MFD_CLOEXEC);
        MUST(s, fd >= 0 && ftruncate(fd, (off_t) size) == 0, "no memory");
        bits = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        r = vhost_frontend_send(&s->frontend, VHOST_USER_SET_LOG_BASE, 0, &payload, sizeof payload.log, &fd, 1);
        close(fd);
        MUST(s, bits != MAP_FAILED && r == 0 && vhost_frontend_receive(&s->frontend, &reply) == 0, "no reply to SET_LOG_BASE");
        MUST(s, reply.request == VHOST_USER_SET_LOG_BASE, "the reply is to request %u", reply.request);
        r = vhost_frontend_tell_u64(&s->frontend, VHOST_USER_SET_FEATURES, s->features & ~VHOST_BIT(VHOST_F_EVENT_IDX) & ~VHOST_BIT(VHOST_F_PACKED));
        MUST(s, r == 0, "LOG_ALL is refused while a ring runs");
        address = (struct vhost_vring_address) {
                .flags = VHOST_VRING_F_LOG,
                .descriptor = (uintptr_t) s->driver.descriptors,
                .available = (uintptr_t) s->driver.available,
                .used = (uintptr_t) s->driver.used,
                .log = vhost_driver_memory_guest(&s->memory, s->driver.used),
        };
        r = vhost_frontend_tell(&s->frontend, VHOST_USER_SET_VRING_ADDR, &address, sizeof address, NULL, 0);
        MUST(s, r == 0, "SET_VRING_ADDR with its log flag is refused while a ring runs");
        MUST(s, block_do(s, READ_1) == 0, "a read fails");
        page = vhost_driver_memory_guest(&s->memory, s->buffer + DATA) / 4096;
        MUST(s, bits[page / 8] & 1u << page % 8, "the page that was read into is not in the log");
        page = vhost_driver_memory_guest(&s->memory, s->driver.used) / 4096;
        MUST(s, bits[page / 8] & 1u << page % 8, "the used ring's page is not in the log");
        page = vhost_driver_memory_guest(&s->memory, s->driver.descriptors) / 4096;
        MUST(s, !(bits[page / 8] & 1u << page % 8), "the descriptors' page, which it did not write, is in the log");
        munmap(bits, size);
}

const struct clause clauses_memory[] = {
        { "S-1", "MUST", "there are as many slots as GET_MAX_MEM_SLOTS tells", slots, false },
        { "S-2", "MUST", "regions are added and removed while a ring runs", add_remove, false },
        { "S-3", "MUST", "a descriptor that comes with REM_MEM_REG is closed", remove_with_fd, false },
        { "S-4", "MUST", "a region that is not there cannot be removed", remove_unknown, false },
        { "S-5", "MUST", "a region that its file does not have is refused", region_past_file, false },
        { "S-6", "MUST", "a region past the end of the address space is refused", region_wraps, false },
        { "S-7", "MUST", "a region over another is refused", region_overlaps, false },
        { "S-8", "MUST", "the memory table is replaced while a ring runs", table, false },
        { "S-9", "MUST", "a buffer may lie in two regions that follow each other", across_regions, false },
        { "S-10", "MUST", "what is written, by the device and to the used ring, is in the dirty log", dirty_log, false },
        {},
};
