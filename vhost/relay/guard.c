/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The guard: bounds of rings and regions. */

#include "guard.h"

#include <errno.h>
#include <sys/stat.h>

#define RING_SIZE_MAX 1024u             /* of QEMU's and libvhost-user's rings: VIRTQUEUE_MAX_SIZE */

#define WRITEBACK 32u                   /* VIRTIO 1.2 §5.2.4: where it is in the configuration space of a block device, and all of it that a driver may set */

/* How many bytes the parts of a split ring have: VIRTIO 1.2 §2.7. */
#define DESCRIPTORS_SIZE(n) (UINT64_C(16) * (n))
#define AVAILABLE_SIZE(n) (6 + UINT64_C(2) * (n))
#define USED_SIZE(n) (6 + UINT64_C(8) * (n))

static bool overlap(uint64_t a, uint64_t n_a, uint64_t b, uint64_t n_b) {
        return a < b ? b - a < n_a : a - b < n_b;
}

/* Regions. n_regions was checked, of what the session has as well. */

static bool is_within(const struct vhost_message *table, uint64_t address, uint64_t size) {
        for (uint32_t i = 0; i < table->payload.memory.n_regions; i++) {
                const struct vhost_region *region = &table->payload.memory.regions[i];

                if (address >= region->user_address && address - region->user_address < region->size)
                        return size <= region->size - (address - region->user_address);
        }
        return false;
}

/* What is no file, as a device, is as large as it is. */
static int check_file(int fd, uint64_t offset, uint64_t size) {
        struct stat st;
        uint64_t end;

        if (size == 0 || __builtin_add_overflow(offset, size, &end))
                return -EINVAL;
        if (fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) && end > (uint64_t) st.st_size ? -EINVAL : 0;
}

static int check_region(const struct vhost_message *table, uint32_t i) {
        const struct vhost_region *region = &table->payload.memory.regions[i];
        uint64_t end;
        int r;

        r = check_file(table->fds[i], region->mmap_offset, region->size);
        if (r < 0)
                return r;
        if (__builtin_add_overflow(region->guest_address, region->size, &end) || __builtin_add_overflow(region->user_address, region->size, &end))
                return -EINVAL;
        for (uint32_t k = 0; k < i; k++) {
                const struct vhost_region *other = &table->payload.memory.regions[k];

                if (overlap(region->guest_address, region->size, other->guest_address, other->size) ||
                    overlap(region->user_address, region->size, other->user_address, other->size))
                        return -EEXIST;
        }
        return 0;
}

/* Rings */

/* Whether it is where there is memory: all of one that runs; of another, what is read of it when it is told of. */
static int check_place(const struct vhost_message *table, const struct vhost_message *address, uint32_t n, bool runs) {
        const struct vhost_vring_address *at = &address->payload.address;

        if (address->request == 0)
                return 0;
        if (runs && n == 0)
                return -EBADMSG;
        if (!runs)
                n = n > 0;
        return is_within(table, at->descriptor, DESCRIPTORS_SIZE(n)) && is_within(table, at->available, AVAILABLE_SIZE(n)) &&
                               is_within(table, at->used, USED_SIZE(n)) ?
                       0 :
                       -EFAULT;
}

static int check_table(const struct session *session, const struct vhost_message *table) {
        uint32_t n = table->payload.memory.n_regions;
        int r = 0;

        if (n > VHOST_REGIONS_MAX || table->size < offsetof(union vhost_payload, memory.regions) + n * sizeof(struct vhost_region))
                return -EBADMSG;
        if (table->n_fds != n)
                return -EBADF;
        for (uint32_t i = 0; i < n && r >= 0; i++)
                r = check_region(table, i);
        for (uint32_t ring = 0; ring < SESSION_RINGS_MAX && r >= 0; ring++)
                r = check_place(table, session_address(session, ring), session_ring_size(session, ring), session_ring_runs(session, ring));
        return r;
}

static int check_size(const struct session *session, const struct vhost_message *message) {
        uint32_t ring = message->payload.state.index, n = message->payload.state.num;

        if (n == 0 || n > RING_SIZE_MAX || (n & (n - 1)) != 0)
                return -EBADMSG;
        return session_ring_runs(session, ring) ? check_place(session_table(session), session_address(session, ring), n, true) : 0;
}

static int check_event(const struct session *session, const struct guard_offer *offer, const struct vhost_message *message) {
        uint32_t ring = message->payload.u64 & VHOST_VRING_INDEX_MASK;
        bool has_none = message->payload.u64 & VHOST_VRING_NO_FD;

        if (message->payload.u64 & ~(uint64_t) VHOST_VRING_BITS || ring >= offer->n_rings)
                return -EBADMSG;
        if (message->n_fds != (has_none ? 0 : 1))
                return -EBADF;
        if (message->request != VHOST_USER_SET_VRING_KICK)
                return 0;
        return check_place(session_table(session), session_address(session, ring), session_ring_size(session, ring), true);
}

int guard_check(const struct session *session, const struct guard_offer *offer, const struct vhost_message *message) {
        const union vhost_payload *payload = &message->payload;
        uint32_t ring = payload->state.index;

        switch (message->request) {
        case VHOST_USER_SET_FEATURES:
                return payload->u64 & ~offer->features ? -EBADMSG : 0;
        case VHOST_USER_SET_MEM_TABLE:
                return check_table(session, message);
        case VHOST_USER_SET_LOG_BASE:
                return check_file(message->fds[0], payload->log.offset, payload->log.size);
        case VHOST_USER_SET_VRING_NUM:
                return ring < offer->n_rings ? check_size(session, message) : -EBADMSG;
        case VHOST_USER_SET_VRING_ADDR:
                if (ring >= offer->n_rings)
                        return -EBADMSG;
                return check_place(session_table(session), message, session_ring_size(session, ring), session_ring_runs(session, ring));
        case VHOST_USER_SET_VRING_BASE:
        case VHOST_USER_GET_VRING_BASE:
        case VHOST_USER_SET_VRING_ENABLE:
                return ring < offer->n_rings ? 0 : -EBADMSG;
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_CALL:
        case VHOST_USER_SET_VRING_ERR:
                return check_event(session, offer, message);
        case VHOST_USER_SET_CONFIG:
                return payload->config.offset == WRITEBACK && payload->config.size == 1 && message->size > VHOST_CONFIG_HEADER ? 0 : -EBADMSG;
        default:
                return 0;
        }
}
