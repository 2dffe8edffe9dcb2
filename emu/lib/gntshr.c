/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxengnttab.so.1 of emulated Xen, the side that shares: xengntshr_* of xengnttab.h over xenemud, with the errors of Linux's
 * /dev/xen/gntalloc.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "grant-handle.h"
#include "grant-pages.h"

#define NO_OFFSET UINT32_MAX
#define NO_PORT ((evtchn_port_t) -1)

union share_reply {
        struct emu_shared shared;
        uint8_t room[sizeof(struct emu_shared) + EMU_SHARE_PAGES_MAX * sizeof(uint32_t)];
};

xengntshr_handle *xengntshr_open(xentoollog_logger *logger, unsigned open_flags) {
        return grant_handle_open(logger, "xengntshr");
}

int xengntshr_close(xengntshr_handle *xgs) {
        return grant_handle_close(xgs);
}

int xengntshr_fd(xengntshr_handle *xgs) {
        return xgs->connection.fd;
}

/* Places a share's memory at address. Its owner writes always; read-only is what others get, and only once this mapping exists. */
static int place_share(xengntshr_handle *xgs, const union share_reply *reply, const struct emu_share *share, void *address, int fd) {
        struct emu_id id = { .id = reply->shared.share };

        if (fd < 0 || reply->shared.n_refs != share->count)
                return -EPROTO;
        if (mmap(address, (size_t) share->count * EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
                return -errno;
        if (!(share->flags & EMU_GRANT_READONLY))
                return 0;
        return connection_call(&xgs->connection, EMU_GRANT_SHARE_MAPPED, &id, sizeof id, NULL, 0, NULL, 0);
}

/* Shares what fits in one request at address, which is reserved. */
static int share_some(xengntshr_handle *xgs, const struct emu_share *share, void *address, uint32_t *ret_id, uint32_t *ret_refs) {
        union share_reply reply;
        int fd, r;

        reply.shared = (struct emu_shared) {};
        r = connection_call(&xgs->connection, EMU_GRANT_SHARE, share, sizeof *share, &reply, sizeof reply, &fd, 1);
        if (r == -EMFILE && reply.shared.share != 0) /* shared, but the descriptor did not fit into this process */
                grant_handle_release(xgs, EMU_GRANT_UNSHARE, &reply.shared.share, 1, true);
        if (r < 0)
                return r;

        r = place_share(xgs, &reply, share, address, fd);
        if (fd >= 0)
                close(fd);
        if (r < 0) {
                grant_handle_release(xgs, EMU_GRANT_UNSHARE, &reply.shared.share, 1, true);
                return r;
        }

        *ret_id = reply.shared.share;
        memcpy(ret_refs, reply.shared.refs, share->count * sizeof *ret_refs);
        return 0;
}

/* Shares region's pages, all or none; region's n_ids says how many shares were made, also on failure. */
static int share_all(xengntshr_handle *xgs, uint32_t domid, int writable, struct region *region, uint32_t *ret_refs) {
        struct emu_share share = { .domid = domid, .flags = writable ? 0 : EMU_GRANT_READONLY };
        int r;

        for (size_t done = 0; done < region->n_pages; done += share.count) {
                share.count = region->n_pages - done < EMU_SHARE_PAGES_MAX ? region->n_pages - done : EMU_SHARE_PAGES_MAX;
                r = share_some(xgs, &share, (void *) (region->address + done * EMU_PAGE_SIZE), &region->ids[region->n_ids],
                               ret_refs + done);
                if (r < 0)
                        return r;
                region->n_ids++;
        }
        return 0;
}

/* Shares pages in a new place and remembers them. On failure region's ids stay the caller's. */
static int share_region(xengntshr_handle *xgs, uint32_t domid, int writable, uint32_t offset, evtchn_port_t port, struct region *region,
                        uint32_t *ret_refs) {
        void *address;
        int r;

        r = regions_reserve(&xgs->regions);
        if (r < 0)
                return r;

        address = pages_reserve(region->n_pages);
        if (address == MAP_FAILED)
                return -errno;
        region->address = (uintptr_t) address;

        r = share_all(xgs, domid, writable, region, ret_refs);
        region->notifies = offset < region->n_pages * EMU_PAGE_SIZE || port != NO_PORT;
        if (r == 0)
                r = grant_handle_notify(xgs, region->ids[0], 0, region->n_pages, offset, port);
        if (r < 0) {
                munmap(address, region->n_pages * EMU_PAGE_SIZE);
                grant_handle_release(xgs, EMU_GRANT_UNSHARE, region->ids, region->n_ids, true);
                return r;
        }

        grant_handle_remember(xgs, EMU_GRANT_UNSHARE, region);
        return 0;
}

static void *share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable, uint32_t offset,
                         evtchn_port_t port) {
        size_t n_pages = count > 0 ? count : 0, n_ids_max = (n_pages + EMU_SHARE_PAGES_MAX - 1) / EMU_SHARE_PAGES_MAX;
        struct region region = { .n_pages = n_pages };
        uint32_t *new_refs;
        int r = count > 0 ? -ENOMEM : -EINVAL;

        region.ids = calloc(n_ids_max, sizeof *region.ids);
        new_refs = calloc(n_pages, sizeof *new_refs);
        if (count > 0 && region.ids && new_refs) {
                pthread_mutex_lock(&xgs->lock);
                r = share_region(xgs, domid, writable, offset, port, &region, new_refs);
                pthread_mutex_unlock(&xgs->lock);
        }
        if (r == 0)
                memcpy(refs, new_refs, n_pages * sizeof *refs); /* only now: nothing is written on failure */
        else {
                connection_log(&xgs->connection, -r, "cannot share %d pages with domain %u", count, domid);
                free(region.ids);
        }
        free(new_refs);

        if (r < 0) {
                errno = -r;
                return NULL;
        }
        return (void *) region.address;
}

void *xengntshr_share_pages(xengntshr_handle *xgs, uint32_t domid, int count, uint32_t *refs, int writable) {
        return share_pages(xgs, domid, count, refs, writable, NO_OFFSET, NO_PORT);
}

void *xengntshr_share_page_notify(xengntshr_handle *xgs, uint32_t domid, uint32_t *ref, int writable, uint32_t notify_offset,
                                  evtchn_port_t notify_port) {
        return share_pages(xgs, domid, 1, ref, writable, notify_offset, notify_port);
}

int xengntshr_unshare(xengntshr_handle *xgs, void *start_address, uint32_t count) {
        int r = grant_handle_forget(xgs, EMU_GRANT_UNSHARE, start_address, count);

        if (r == 0)
                return 0;
        errno = -r;
        return -1;
}
