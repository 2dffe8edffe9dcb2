/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "scan.h"

#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "database-error.h"
#include "log.h"
#include "spec.h"
#include "storage1-sr.h"
#include "storage1-vdi.h"
#include "store.h"

#define CHAIN_TAKEN_MAX 256u            /* of images that were not made here; more is nobody's doing but an attacker's */

enum { UNKNOWN, BEING_LOOKED_AT, GOOD, BAD };   /* states of a found disk */

static int compare(const void *a, const void *b) {
        return uuid_compare(a, b);
}

int scan_new(struct scan **ret_scan, struct sr *sr) {
        struct scan *scan = calloc(1, sizeof *scan);

        if (!scan)
                return -ENOMEM;
        scan->sr = sr;                  /* the operation has a reference */
        scan->number = ++sr->n_scans;
        scan->next = sr->scans;
        sr->scans = scan;
        *ret_scan = scan;
        return 0;
}

struct scan *scan_free(struct scan *scan) {
        struct scan **p;

        if (!scan)
                return NULL;
        for (p = &scan->sr->scans; *p; p = &(*p)->next)
                if (*p == scan) {
                        *p = scan->next;
                        break;
                }
        for (size_t i = 0; i < scan->n_disks; i++)
                free(scan->disks[i].name);
        free(scan->disks);
        free(scan->added);
        free(scan->changed);
        free(scan->missing);
        tdestroy(scan->touched, free);
        free(scan);
        return NULL;
}

void scan_touch(struct sr *sr, const struct uuid *uuid) {
        for (struct scan *scan = sr->scans; scan; scan = scan->next) {
                struct uuid *copy = malloc(sizeof *copy);
                struct uuid **found;

                if (!copy)
                        return;         /* the next scan puts right what this one gets wrong */
                *copy = *uuid;
                found = tsearch(copy, &scan->touched, compare);
                if (!found || *found != copy)
                        free(copy);
        }
}

static bool is_touched(const struct scan *scan, const struct uuid *uuid) {
        return tfind(uuid, &scan->touched, compare);
}

/* What was printed */

struct found_disk *scan_add(struct scan *scan, const struct uuid *uuid) {
        if (scan->n_disks == scan->n_allocated) {
                size_t n = scan->n_allocated > 0 ? 2 * scan->n_allocated : 64;
                struct found_disk *disks = reallocarray(scan->disks, n, sizeof *disks);

                if (!disks)
                        return NULL;
                scan->disks = disks;
                scan->n_allocated = n;
        }
        scan->disks[scan->n_disks] = (struct found_disk) { .uuid = *uuid };
        return &scan->disks[scan->n_disks++];
}

static void complain(const struct scan *scan, const char *what, const char *why) {
        log_event(LOG_WARNING, LOG_FIELDS({"XCP_SR", scan->sr->id}), "In the storage repository %s, %s is passed over: %s", scan->sr->name,
                  what, why);
}

int scan_line(struct scan *scan, const char *line) {
        char name[64], why[256];
        int value;

        if (sscanf(line, "sr %36s", scan->id) == 1)
                return 0;
        if (sscanf(line, "read-only %d", &value) == 1) {
                scan->read_only = value != 0;
                return 0;
        }
        if (sscanf(line, "bad %63s %255[^\n]", name, why) == 2) {
                complain(scan, name, why);
                return 0;
        }
        if (sscanf(line, "check %63s", scan->checking) == 1)
                return 0;
        if (*scan->checking && sscanf(line, "failed %*d %255[^\n]", why) == 1) {
                complain(scan, scan->checking, why);
                *scan->checking = '\0';
                return 0;
        }
        *scan->checking = '\0';         /* it was well */
        if (strcmp(line, "end") == 0) {
                scan->is_complete = true;
                return 0;
        }
        return scan->sr->driver->scan_line(scan, line);
}

/* Parents */

static struct found_disk *find_found(const struct scan *scan, const struct uuid *uuid) {
        return scan->n_disks == 0 ? NULL : bsearch(uuid, scan->disks, scan->n_disks, sizeof *scan->disks, compare);
}

static bool can_be_parent(const struct scan *scan, const struct uuid *uuid) {
        const struct vdi *vdi = vdi_find(scan->sr->storage, uuid);

        return vdi && vdi->sr == scan->sr && vdi->format == XCP_VDI_FORMAT_QCOW2 && (vdi->snapshot || vdi->hidden);
}

/* Whether all that a new disk is on top of can be had, and is no longer chain than can be. */
static int look_at(struct scan *scan, struct found_disk *disk, unsigned depth) {
        char id[UUID_TEXT_SIZE];
        struct found_disk *parent;

        if (disk->state != UNKNOWN)
                return disk->state;
        disk->state = BEING_LOOKED_AT;
        if (!disk->has_backing || vdi_find(scan->sr->storage, &disk->uuid))
                return disk->state = GOOD;
        parent = find_found(scan, &disk->backing);
        if (vdi_find(scan->sr->storage, &disk->backing))
                disk->state = can_be_parent(scan, &disk->backing) ? GOOD : BAD;
        else if (depth < CHAIN_TAKEN_MAX && parent && parent->format == XCP_VDI_FORMAT_QCOW2 && look_at(scan, parent, depth + 1) == GOOD) {
                parent->is_parent = true;
                disk->state = GOOD;
        } else
                disk->state = BAD;
        if (disk->state == BAD)
                complain(scan, uuid_format(&disk->uuid, id), "its backing file is not there, or is no snapshot");
        return disk->state;
}

/* New ones */

static int name_of(const struct found_disk *disk, const char **name, char *id) {
        uuid_format(&disk->uuid, id);
        *name = disk->name && spec_check_vdi_name("name", disk->name, NULL) >= 0 ? disk->name : id;
        return 0;
}

static int make_vdi(const struct scan *scan, const struct found_disk *disk, struct vdi **ret_vdi) {
        char id[UUID_TEXT_SIZE];
        const char *name;
        struct vdi *vdi;
        int r;

        name_of(disk, &name, id);
        r = vdi_new(&vdi, scan->sr, &disk->uuid, name, "");
        if (r < 0)
                return r;
        vdi->format = disk->format;
        vdi->size = disk->size;
        vdi->snapshot = disk->snapshot || disk->is_parent;      /* what others are on top of never changes */
        vdi->read_only = disk->read_only || vdi->snapshot;
        vdi->sharable = disk->sharable;
        vdi->snapshot_of = disk->snapshot_of;
        vdi->created_usec = disk->created_usec > 0 ? disk->created_usec : clock_now_usec(CLOCK_REALTIME);
        vdi->has_range = disk->has_range;
        vdi->slot = disk->slot;
        vdi->offset = disk->offset;
        vdi->length = disk->length;
        *ret_vdi = vdi;
        return 0;
}

static int push(const char ***paths, size_t *n, const char *path) {
        const char **more = reallocarray(*paths, *n + 1, sizeof *more);

        if (!more)
                return -ENOMEM;
        *paths = more;
        more[(*n)++] = path;
        return 0;
}

/* Adds a new disk, after those that it is on top of. */
static int add_found(struct scan *scan, struct found_disk *disk) {
        struct storage *storage = scan->sr->storage;
        AUTO(vdi_unrefp) struct vdi *vdi = NULL;
        struct vdi *parent = NULL;
        int r;

        if (disk->state != GOOD || vdi_find(storage, &disk->uuid))
                return 0;
        if (disk->has_backing) {
                struct found_disk *below = find_found(scan, &disk->backing);

                r = below ? add_found(scan, below) : 0;
                if (r < 0)
                        return r;
                parent = vdi_find(storage, &disk->backing);
                if (!parent)
                        return 0;       /* touched meanwhile */
        }
        if (is_touched(scan, &disk->uuid) || scan->sr->n_vdis >= VDIS_PER_SR_MAX)
                return 0;
        if (!scan->is_attach && scan->sr->driver->adopt && scan->sr->driver->adopt(scan->sr, disk) < 0)
                return 0;
        r = make_vdi(scan, disk, &vdi);
        if (r < 0)
                return r;
        vdi->parent = parent;           /* for the database */
        r = store_add_vdi(vdi);
        if (r < 0)
                return r;
        r = vdi_add(vdi, parent);
        if (r < 0)
                return r;
        return push(&scan->added, &scan->n_added, vdi->path);
}

/* Known ones */

static int compare_known(struct scan *scan, const struct found_disk *disk, struct vdi *vdi) {
        unsigned changed = 0;
        int r;

        vdi->seen = scan->number;
        if (is_touched(scan, &vdi->uuid) || vdi->format != disk->format)
                return 0;
        if (vdi->missing)
                changed |= STORAGE1_VDI_PROPERTY_MISSING;
        if (vdi->size != disk->size)
                changed |= STORAGE1_VDI_PROPERTY_SIZE;
        if (changed == 0)
                return 0;
        vdi->sr->promised += disk->size - vdi->size;
        vdi->size = disk->size;
        vdi->missing = false;
        vdi_changed(vdi, changed);
        r = store_set_vdi(vdi);
        return r < 0 || vdi->hidden ? r : push(&scan->changed, &scan->n_changed, vdi->path);
}

static int find_missing(struct scan *scan) {
        for (struct vdi *vdi = scan->sr->first; vdi; vdi = vdi->next) {
                int r;

                if (vdi->seen >= scan->number || vdi->missing || is_touched(scan, &vdi->uuid))
                        continue;
                vdi->missing = true;
                vdi_changed(vdi, STORAGE1_VDI_PROPERTY_MISSING);
                r = store_set_vdi(vdi);
                if (r >= 0 && !vdi->hidden)
                        r = push(&scan->missing, &scan->n_missing, vdi->path);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int apply(struct scan *scan) {
        struct storage *storage = scan->sr->storage;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < scan->n_disks; i++) {
                struct vdi *vdi = vdi_find(storage, &scan->disks[i].uuid);

                if (vdi && vdi->sr == scan->sr)
                        r = compare_known(scan, &scan->disks[i], vdi);
                else if (vdi)
                        complain(scan, vdi->id, "another storage repository has it");
                else
                        look_at(scan, &scan->disks[i], 0);
        }
        for (size_t i = 0; r >= 0 && i < scan->n_disks; i++)
                r = add_found(scan, &scan->disks[i]);
        return r < 0 ? r : find_missing(scan);
}

int scan_apply(struct scan *scan, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        struct sr *sr = scan->sr;
        bool read_only = scan->read_only || (sr_config(sr, "read-only") && strcmp(sr_config(sr, "read-only"), "yes") == 0);
        int r;

        if (!scan->is_complete)
                return -EBADMSG;
        if (scan->n_disks > 0)
                qsort(scan->disks, scan->n_disks, sizeof *scan->disks, compare);
        r = database_begin(sr->storage->db, &transaction);
        if (r >= 0)
                r = apply(scan);
        if (r >= 0)
                r = database_commit(&transaction);
        if (r < 0)
                return database_set_error(sr->storage->db, r, error);
        if (sr->read_only != read_only) {
                sr->read_only = read_only;
                sr_changed(sr, STORAGE1_SR_PROPERTY_READ_ONLY);
        }
        return 0;
}
