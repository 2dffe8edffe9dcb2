/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests about the guest's memory and its dirty log. No queue runs meanwhile. */

#include <errno.h>

#include "backend-private.h"

/* A region as it was sent, with or without what XEN_MMAP adds. */
static int add(struct vhost_backend *backend, const struct vhost_region *plain, const struct vhost_xen_region *xen, int fd) {
        if (vhost_backend_has(backend, VHOST_PROTOCOL_F_XEN_MMAP))
                return vhost_memory_add_xen(&backend->memory, xen, fd);
        return vhost_memory_add(&backend->memory, plain, fd);
}

int vhost_do_set_mem_table(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        size_t size = vhost_backend_has(backend, VHOST_PROTOCOL_F_XEN_MMAP) ? sizeof(struct vhost_xen_region) : sizeof(struct vhost_region);
        uint32_t n = message->payload.memory.n_regions;
        int r;

        if (n > VHOST_REGIONS_MAX || message->size < 8 + n * size || message->n_fds != n)
                return -EINVAL;
        /* The old table goes first: the new one may use its addresses. After a failure there is none, and no ring can run. */
        vhost_memory_clear(&backend->memory);
        for (uint32_t i = 0; i < n; i++) {
                r = add(backend, &message->payload.memory.regions[i], &message->payload.xen_memory.regions[i], message->fds[i]);
                if (r < 0) {
                        vhost_memory_clear(&backend->memory);
                        return r;
                }
        }
        return 0;
}

int vhost_do_add_mem_reg(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return add(backend, &message->payload.slot.region, &message->payload.xen_slot.region, message->fds[0]);
}

int vhost_do_rem_mem_reg(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        /* With XEN_MMAP, the region begins with just this. */
        return vhost_memory_remove(&backend->memory, &message->payload.slot.region);
}

int vhost_do_get_max_mem_slots(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        reply->payload.u64 = VHOST_SLOTS_MAX;
        reply->size = sizeof reply->payload.u64;
        return 0;
}

int vhost_do_set_log_base(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        struct vhost_log log = VHOST_LOG_NONE;
        int r;

        r = vhost_log_open(&log, message->fds[0], message->payload.log.offset, message->payload.log.size);
        if (r < 0)
                return r;
        vhost_log_close(&backend->log);
        backend->log = log;
        reply->payload.u64 = 0;
        reply->size = sizeof reply->payload.u64;
        return 0;
}
