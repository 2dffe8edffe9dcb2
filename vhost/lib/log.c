/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The dirty log. */

#include "log.h"

int vhost_log_open(struct vhost_log *log, int fd, uint64_t offset, uint64_t size) {
        int r = vhost_mapping_open(&log->mapping, fd, offset, size);

        log->size = r < 0 ? 0 : size;
        return r;
}

void vhost_log_close(struct vhost_log *log) {
        vhost_mapping_close(&log->mapping);
        log->size = 0;
}

void vhost_log_write(const struct vhost_log *log, uint64_t guest_address, uint64_t size) {
        uint8_t *bits = log->mapping.start;
        uint64_t page = guest_address / VHOST_LOG_PAGE, last;

        if (log->size == 0 || size == 0 || __builtin_add_overflow(guest_address, size - 1, &last))
                return;
        for (last /= VHOST_LOG_PAGE; page <= last && page / 8 < log->size; page++)
                __atomic_fetch_or(bits + page / 8, (uint8_t) (1u << page % 8), __ATOMIC_SEQ_CST);
}
