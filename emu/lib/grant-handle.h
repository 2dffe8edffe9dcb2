/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A handle of grants, which xengnttab.h gives to both sides: to those who map (gnttab.c) and to those who share (gntshr.c).
 *
 * Closing a handle ends its grants and mappings at the daemon, but leaves the memory where it is, as Linux does: it may be in use
 * still, or by now be somebody else's.
 */

#include <pthread.h>
#include <xengnttab.h>

#include "connection.h"
#include "grant-regions.h"

#define GRANT_HANDLE_PAGES_MAX (64u * 1024) /* Linux: gntdev's "limit", pages in one request */

struct xengntdev_handle {
        struct connection connection;
        pthread_mutex_t lock;                   /* of regions, and of the memory they are about: it changes together with them */
        struct regions regions;
};

struct xengntdev_handle *grant_handle_open(xentoollog_logger *logger, const char *name);
int grant_handle_close(struct xengntdev_handle *handle);

/*
 * Tells the daemon by op, EMU_GRANT_UNMAP or EMU_GRANT_UNSHARE, that these are over. Returns 0 or the first negative errno.
 *
 * wait: return when it has done so. Others who ask the daemon can tell no difference, but whoever is notified of the end can.
 */
int grant_handle_release(struct xengntdev_handle *handle, uint32_t op, const uint32_t *ids, size_t n_ids, bool wait);

/*
 * Remembers memory that was just placed, under the lock; what was at its addresses before is released by op. regions_reserve() must
 * have been called under the same lock.
 */
void grant_handle_remember(struct xengntdev_handle *handle, uint32_t op, const struct region *region);

/* Unmaps and releases what begins at address and has exactly n_pages. Returns 0 or a negative errno, -EINVAL if it is not ours. */
int grant_handle_forget(struct xengntdev_handle *handle, uint32_t op, void *address, uint32_t n_pages);

/*
 * Sets the notification for when a share or mapping of n_pages ends, whichever of the two ids is not 0. An offset beyond them and a
 * port of -1 mean that there is none of that sort. Returns 0 or a negative errno.
 */
int grant_handle_notify(struct xengntdev_handle *handle, uint32_t share, uint32_t mapping, size_t n_pages, uint32_t offset,
                        evtchn_port_t port);
