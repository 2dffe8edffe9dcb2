/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xengnttab_grant_copy(): what Xen's GNTTABOP_copy does, by mapping the granted pages for as long as the copy takes.
 *
 * Segments are done in batches: the pages that a batch reads are mapped in one request, those that it writes in another. If the
 * hypervisor refuses a page, the batch is done again one segment at a time, so that only the segments concerned report it. Segments
 * are copied in the order given, and each byte is read once.
 */

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "grant-handle.h"
#include "grant-map.h"

#define BATCH_MAX EMU_MAP_PAGES_MAX     /* one request for each direction */

/* The pages of one direction of a batch. */
struct copy_side {
        struct emu_map_page pages[BATCH_MAX];
        size_t n_pages;
        void *address;
        uint32_t id;
};

static void side_add(struct copy_side *side, const union xengnttab_copy_ptr *pointer) {
        side->pages[side->n_pages++] = (struct emu_map_page) { .domid = pointer->foreign.domid, .ref = pointer->foreign.ref };
}

static int side_map(xengnttab_handle *xgt, struct copy_side *side, int prot, struct grant_refusal *ret_refusal) {
        if (side->n_pages == 0)
                return 0;
        return grant_map(xgt, side->pages, side->n_pages, prot, &side->address, &side->id, ret_refusal);
}

static void side_unmap(xengnttab_handle *xgt, struct copy_side *side) {
        if (!side->address)
                return;
        munmap(side->address, side->n_pages * EMU_PAGE_SIZE);
        grant_handle_release(xgt, EMU_GRANT_UNMAP, &side->id, 1, false);
}

/* Where a segment's end lies: at the pointer given, or in the next page of side, whose offset has been checked. */
static void *side_pointer(const struct copy_side *side, bool granted, const union xengnttab_copy_ptr *pointer, size_t *next) {
        if (!granted)
                return pointer->virt;
        return (char *) side->address + (*next)++ * EMU_PAGE_SIZE + pointer->foreign.offset;
}

static void copy_segments(const struct copy_side *source, const struct copy_side *dest, xengnttab_grant_copy_segment_t *segments,
                          size_t n) {
        size_t next_source = 0, next_dest = 0;

        for (size_t i = 0; i < n; i++) {
                const void *from = side_pointer(source, segments[i].flags & GNTCOPY_source_gref, &segments[i].source, &next_source);
                void *to = side_pointer(dest, segments[i].flags & GNTCOPY_dest_gref, &segments[i].dest, &next_dest);

                memmove(to, from, segments[i].len);
                segments[i].status = GNTST_okay;
        }
}

/* Copies at most BATCH_MAX segments. If a page was refused, nothing is copied and *ret_status says why. */
static int copy_batch(xengnttab_handle *xgt, xengnttab_grant_copy_segment_t *segments, size_t n, int16_t *ret_status) {
        struct copy_side source = {}, dest = {};
        struct grant_refusal refusal = {};
        int r;

        for (size_t i = 0; i < n; i++) {
                if (segments[i].flags & GNTCOPY_source_gref)
                        side_add(&source, &segments[i].source);
                if (segments[i].flags & GNTCOPY_dest_gref)
                        side_add(&dest, &segments[i].dest);
        }

        r = side_map(xgt, &source, PROT_READ, &refusal);
        if (r == 0)
                r = side_map(xgt, &dest, PROT_READ | PROT_WRITE, &refusal);
        if (r == 0)
                copy_segments(&source, &dest, segments, n);

        side_unmap(xgt, &source);
        side_unmap(xgt, &dest);
        *ret_status = refusal.status;
        return refusal.status == GNTST_okay ? r : 0;
}

static int copy_one_by_one(xengnttab_handle *xgt, xengnttab_grant_copy_segment_t *segments, size_t n) {
        int16_t status;

        for (size_t i = 0; i < n; i++) {
                int r = copy_batch(xgt, &segments[i], 1, &status);

                if (r < 0)
                        return r;
                segments[i].status = status;
        }
        return 0;
}

/* Linux's gntdev refuses a segment that leaves its granted page, and with it the whole request. */
static bool segment_is_valid(const xengnttab_grant_copy_segment_t *segment) {
        if (segment->flags & GNTCOPY_source_gref && segment->source.foreign.offset + segment->len > EMU_PAGE_SIZE)
                return false;
        if (segment->flags & GNTCOPY_dest_gref && segment->dest.foreign.offset + segment->len > EMU_PAGE_SIZE)
                return false;
        return true;
}

static int copy_all(xengnttab_handle *xgt, xengnttab_grant_copy_segment_t *segments, size_t n_segments) {
        int16_t status;
        int r;

        for (size_t i = 0; i < n_segments; i++)
                if (!segment_is_valid(&segments[i]))
                        return -EINVAL;

        for (size_t done = 0, n; done < n_segments; done += n) {
                n = n_segments - done < BATCH_MAX ? n_segments - done : BATCH_MAX;
                r = copy_batch(xgt, segments + done, n, &status);
                if (r == 0 && status != GNTST_okay)
                        r = copy_one_by_one(xgt, segments + done, n);
                if (r < 0)
                        return r;
        }
        return 0;
}

int xengnttab_grant_copy(xengnttab_handle *xgt, uint32_t count, xengnttab_grant_copy_segment_t *segs) {
        int r = copy_all(xgt, segs, count);

        if (r == 0)
                return 0;
        connection_log(&xgt->connection, -r, "copying %u segments of grants failed", count);
        errno = -r;
        return -1;
}
