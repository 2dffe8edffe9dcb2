/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests about the guest's memory and its dirty log. No queue runs meanwhile. */

#include <errno.h>

#include "backend-private.h"

int vhost_do_set_mem_table(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        uint32_t n = message->payload.memory.n_regions;
        int r;

        if (n > VHOST_REGIONS_MAX || message->size < 8 + n * sizeof(struct vhost_region) || message->n_fds != n)
                return -EINVAL;
        /* The old table goes first: the new one may use its addresses. After a failure there is none, and no ring can run. */
        vhost_memory_clear(&backend->memory);
        for (uint32_t i = 0; i < n; i++) {
                r = vhost_memory_add(&backend->memory, &message->payload.memory.regions[i], message->fds[i]);
                if (r < 0) {
                        vhost_memory_clear(&backend->memory);
                        return r;
                }
        }
        return 0;
}

int vhost_do_add_mem_reg(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        return vhost_memory_add(&backend->memory, &message->payload.slot.region, message->fds[0]);
}

int vhost_do_rem_mem_reg(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
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
