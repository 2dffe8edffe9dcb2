/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxengnttab.so.1 of emulated Xen, the side that maps: xengnttab.h over xenemud, with the errors of Linux's /dev/xen/gntdev.
 */

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "grant-handle.h"
#include "grant-map.h"

#define NO_OFFSET UINT32_MAX
#define NO_PORT ((evtchn_port_t) -1)

xengnttab_handle *xengnttab_open(xentoollog_logger *logger, unsigned open_flags) {
        return grant_handle_open(logger, "xengnttab");
}

int xengnttab_close(xengnttab_handle *xgt) {
        return grant_handle_close(xgt);
}

int xengnttab_fd(xengnttab_handle *xgt) {
        return xgt->connection.fd;
}

/* Today's Linux knows no such limit, and Xen's library takes that for success. */
int xengnttab_set_max_grants(xengnttab_handle *xgt, uint32_t nr_grants) {
        return 0;
}

/* Linux refuses to clear a byte that the mapping may not write. */
static int set_notify(xengnttab_handle *xgt, struct region *region, int prot, uint32_t offset, evtchn_port_t port) {
        if (offset < region->n_pages * EMU_PAGE_SIZE && !(prot & PROT_WRITE))
                return -EINVAL;
        region->notifies = offset < region->n_pages * EMU_PAGE_SIZE || port != NO_PORT;
        return grant_handle_notify(xgt, 0, region->ids[0], region->n_pages, offset, port);
}

/* Maps pages into region and remembers it. On failure region's ids stay the caller's. */
static int map_region(xengnttab_handle *xgt, const struct emu_map_page *pages, int prot, uint32_t offset, evtchn_port_t port,
                      struct region *region, struct grant_refusal *ret_refusal) {
        void *address;
        int r;

        r = regions_reserve(&xgt->regions);
        if (r < 0)
                return r;

        r = grant_map(xgt, pages, region->n_pages, prot, &address, region->ids, ret_refusal);
        if (r < 0)
                return r;

        r = set_notify(xgt, region, prot, offset, port);
        if (r < 0) {
                munmap(address, region->n_pages * EMU_PAGE_SIZE);
                grant_handle_release(xgt, EMU_GRANT_UNMAP, region->ids, region->n_ids, true);
                return r;
        }

        region->address = (uintptr_t) address;
        grant_handle_remember(xgt, EMU_GRANT_UNMAP, region);
        return 0;
}

static void *map_pages(xengnttab_handle *xgt, const struct emu_map_page *pages, size_t n_pages, int prot, uint32_t offset,
                       evtchn_port_t port) {
        struct region region = { .n_pages = n_pages, .n_ids = GRANT_MAP_IDS(n_pages) };
        struct grant_refusal refusal = {};
        int r = -ENOMEM;

        region.ids = calloc(region.n_ids, sizeof *region.ids);
        if (region.ids) {
                pthread_mutex_lock(&xgt->lock);
                r = map_region(xgt, pages, prot, offset, port, &region, &refusal);
                pthread_mutex_unlock(&xgt->lock);
        }
        if (r < 0) {
                if (refusal.status != GNTST_okay)
                        connection_log(&xgt->connection, -r, "cannot map grant %u of domain %u (status %d, grant_table.h) of %zu grants",
                                       pages[refusal.page].ref, pages[refusal.page].domid, refusal.status, n_pages);
                else
                        connection_log(&xgt->connection, -r, "mapping %zu grants failed", n_pages);
                free(region.ids);
                errno = -r;
                return NULL;
        }
        return (void *) region.address;
}

/* domids_stride is 0 if all refs are of the one domain that domids points to. */
static void *map_refs(xengnttab_handle *xgt, uint32_t count, const uint32_t *domids, size_t domids_stride, const uint32_t *refs, int prot,
                      uint32_t offset, evtchn_port_t port) {
        struct emu_map_page *pages;
        void *address;

        if (count == 0 || count > GRANT_HANDLE_PAGES_MAX) {
                connection_log(&xgt->connection, EINVAL, "cannot map %u grants at once: at least 1, at most %u", count,
                               GRANT_HANDLE_PAGES_MAX);
                errno = EINVAL;
                return NULL;
        }

        pages = calloc(count, sizeof *pages);
        if (!pages)
                return NULL;
        for (size_t i = 0; i < count; i++)
                pages[i] = (struct emu_map_page) { .domid = domids[i * domids_stride], .ref = refs[i] };

        address = map_pages(xgt, pages, count, prot, offset, port);
        free(pages);    /* glibc's free() leaves errno alone */
        return address;
}

void *xengnttab_map_grant_ref(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot) {
        return map_refs(xgt, 1, &domid, 0, &ref, prot, NO_OFFSET, NO_PORT);
}

void *xengnttab_map_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t *domids, uint32_t *refs, int prot) {
        return map_refs(xgt, count, domids, 1, refs, prot, NO_OFFSET, NO_PORT);
}

void *xengnttab_map_domain_grant_refs(xengnttab_handle *xgt, uint32_t count, uint32_t domid, uint32_t *refs, int prot) {
        return map_refs(xgt, count, &domid, 0, refs, prot, NO_OFFSET, NO_PORT);
}

void *xengnttab_map_grant_ref_notify(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot, uint32_t notify_offset,
                                     evtchn_port_t notify_port) {
        return map_refs(xgt, 1, &domid, 0, &ref, prot, notify_offset, notify_port);
}

int xengnttab_unmap(xengnttab_handle *xgt, void *start_address, uint32_t count) {
        int r = grant_handle_forget(xgt, EMU_GRANT_UNMAP, start_address, count);

        if (r == 0)
                return 0;
        errno = -r;
        return -1;
}
