/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What handles that map and handles that share have in common; see grant-handle.h. */

#include "grant-handle.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

struct xengntdev_handle *grant_handle_open(xentoollog_logger *logger, const char *name) {
        struct xengntdev_handle *handle = calloc(1, sizeof *handle);
        int r;

        if (!handle)
                return NULL;

        r = connection_init(&handle->connection, name, logger, NULL);
        if (r < 0) {
                free(handle);
                errno = -r;
                return NULL;
        }
        pthread_mutex_init(&handle->lock, NULL);

        r = connection_open(&handle->connection, true);
        if (r < 0) {
                grant_handle_close(handle);
                errno = -r;
                return NULL;
        }
        return handle;
}

int grant_handle_close(struct xengntdev_handle *handle) {
        if (!handle)
                return 0;
        connection_deinit(&handle->connection);
        regions_deinit(&handle->regions);
        pthread_mutex_destroy(&handle->lock);
        free(handle);
        return 0;
}

int grant_handle_release(struct xengntdev_handle *handle, uint32_t op, const uint32_t *ids, size_t n_ids, bool wait) {
        int first_error = 0;

        for (size_t i = 0; i < n_ids; i++) {
                struct emu_id id = { .id = ids[i] };
                int r = wait ? connection_call(&handle->connection, op, &id, sizeof id, NULL, 0, NULL, 0)
                             : connection_post(&handle->connection, op, &id, sizeof id);

                if (r < 0 && first_error == 0)
                        first_error = r;
        }
        return first_error;
}

void grant_handle_remember(struct xengntdev_handle *handle, uint32_t op, const struct region *region) {
        struct region stale;

        while (regions_take_overlap(&handle->regions, region->address, region->n_pages, &stale)) {
                grant_handle_release(handle, op, stale.ids, stale.n_ids, stale.notifies);
                free(stale.ids);
        }
        regions_add(&handle->regions, region);
}

int grant_handle_forget(struct xengntdev_handle *handle, uint32_t op, void *address, uint32_t n_pages) {
        struct region region;
        int r = -EINVAL;

        /* All of it under the lock: once unmapped, another thread may get the addresses, and must not find this region in the way. */
        pthread_mutex_lock(&handle->lock);
        if (regions_take(&handle->regions, (uintptr_t) address, n_pages, &region)) {
                munmap(address, (size_t) n_pages * EMU_PAGE_SIZE);
                r = grant_handle_release(handle, op, region.ids, region.n_ids, region.notifies);
                free(region.ids);
        }
        pthread_mutex_unlock(&handle->lock);
        return r;
}

int grant_handle_notify(struct xengntdev_handle *handle, uint32_t share, uint32_t mapping, size_t n_pages, uint32_t offset,
                        evtchn_port_t port) {
        struct emu_notify notify = { .share = share, .mapping = mapping };

        if (offset < n_pages * EMU_PAGE_SIZE) {
                notify.actions |= EMU_NOTIFY_CLEAR_BYTE;
                notify.offset = offset;
        }
        if (port != (evtchn_port_t) -1) {
                notify.actions |= EMU_NOTIFY_SEND_EVENT;
                notify.port = port;
        }
        if (notify.actions == 0)
                return 0;
        return connection_call(&handle->connection, EMU_GRANT_NOTIFY, &notify, sizeof notify, NULL, 0, NULL, 0);
}
