/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Scans: what is found in a storage repository, and what that changes.
 *
 * Disks may be made and removed while a scan goes on. Those are touched, and what the scan says of them is passed over.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "storage.h"

struct found_disk {
        struct uuid uuid;               /* first: what they are sorted by */
        enum xcp_vdi_format format;
        uint64_t size;
        bool has_backing;
        struct uuid backing;
        char *name;                     /* NULL: not known */
        bool read_only, sharable, snapshot;
        struct uuid snapshot_of;
        uint64_t created_usec;          /* 0: not known */
        bool has_range;
        uint32_t slot;
        uint64_t offset, length;
        int state;                      /* while parents are looked for */
        bool is_parent;
};

struct scan {
        struct scan *next;              /* of the same storage repository */
        struct sr *sr;
        uint64_t number;
        char id[UUID_TEXT_SIZE];        /* the storage repository that is there */
        bool read_only;
        bool is_device;                 /* file driver: layout */
        uint64_t size, data, n_slots;
        struct found_disk *disks;
        size_t n_disks, n_allocated;
        char checking[64];              /* the file that the next complaint is about */
        bool is_complete;
        bool is_attach;                 /* the driver has taken over all of it */
        void *touched;                  /* tsearch(3), struct uuid */

        /* What it has changed: paths of disks. */
        const char **added, **changed, **missing;
        size_t n_added, n_changed, n_missing;
};

int scan_new(struct scan **ret_scan, struct sr *sr);
struct scan *scan_free(struct scan *scan);

/* A line that the scan printed. -EBADMSG: it makes no sense. */
int scan_line(struct scan *scan, const char *line);
struct found_disk *scan_add(struct scan *scan, const struct uuid *uuid);

/* A disk that is made, removed or changed. */
void scan_touch(struct sr *sr, const struct uuid *uuid);

/* Makes what was found known: database first, then objects. Fills added, changed and missing. */
int scan_apply(struct scan *scan, struct idl_error *error);
