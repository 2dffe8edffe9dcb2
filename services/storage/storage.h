/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the storage service knows: storage repositories (struct sr), their disks (struct vdi), and what is being done to them (operation.h).
 *
 * A disk is known by its UUID, which is also the name of its file. A hidden disk is one that only others need, as what they were
 * made from: it has no object. Disks and storage repositories are counted, because what is queued for them may outlive them; is_gone
 * says that they are removed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "claim.h"
#include "data-path.h"
#include "database.h"
#include "driver.h"
#include "objects.h"
#include "service.h"
#include "uuid.h"
#include "vdi-limits.h"
#include "xcp-types.h"

#define SRS_MAX 256u
#define VDIS_PER_SR_MAX 100000u
#define OPERATIONS_MAX 8192u            /* some kB each; tasks have a limit of their own, which is lower */
#define CHAIN_MAX 32u                   /* images that one has to go through to read a disk: beyond, a snapshot is a full copy */
#define DOOMED_MAX 64u                  /* images that go with one disk: the rest of a longer chain goes with the storage repository */
#define QUICK_OPERATIONS_MAX 4u         /* at once: each is a process */
#define LONG_OPERATIONS_MAX 16u         /* at once: they may wait for their callers, so there are more of them */

struct hold;
struct keeper;
struct operation;
struct server;
struct space_map;

struct vdi {
        struct uuid uuid;               /* first: what the tree of all disks goes by */
        char id[UUID_TEXT_SIZE];
        unsigned n_references;
        struct sr *sr;
        struct vdi *previous, *next;    /* of its storage repository */
        const char *path;               /* NULL: it has no object */
        char *name, *description;
        struct xcp_dict_s_s_entry *labels;
        size_t n_labels;
        enum xcp_vdi_format format;
        uint64_t size;
        uint64_t created_usec;
        uint64_t iops_limit, rate_limit;        /* requests and bytes a second; 0: none */
        bool read_only, sharable, snapshot, missing, hidden, is_gone;
        struct uuid snapshot_of;        /* null: of nothing. It may be gone */
        unsigned n_snapshots;           /* disks whose snapshot_of this is */
        struct vdi *parent;             /* what its image is on top of */
        unsigned n_children, depth;     /* depth: how many images it is made of */
        struct data_paths paths;
        struct resource resource;
        uint64_t seen;                  /* the number of the scan that saw it last */
        bool has_range;                 /* file driver: where it is */
        uint32_t slot;
        uint64_t offset, length;
};

struct sr {
        char id[UUID_TEXT_SIZE];
        unsigned n_references;
        struct storage *storage;
        struct sr *next;
        const char *path;               /* NULL: it has no object yet */
        char *name, *description;
        const struct driver *driver;
        struct xcp_dict_s_s_entry *config;
        size_t n_config;
        enum xcp_sr_state state;
        char *reason;
        bool read_only, is_gone;
        bool being_made, being_destroyed;       /* CreateSR() or Destroy() was begun and did not end */
        bool is_stored;                         /* IntroduceSR() has put it into the database */
        struct resource resource;
        struct vdi *first;
        size_t n_vdis;                  /* hidden ones too */
        size_t n_making;                /* disks that may come to that */
        uint64_t promised;              /* the sum of their sizes */
        size_t n_data_paths;
        size_t n_operations;            /* that have a claim on it, or wait for one */
        struct scan *scans;             /* that are going on */
        uint64_t n_scans;
        bool being_probed;              /* unreachable, and the service is trying */
        struct file_place *file;        /* file driver: what its table says */
};

struct counter {
        char done_name[32], failed_name[32];
        uint64_t n_done, n_failed;
};

struct storage {
        struct service *service;
        sd_bus *bus;
        sd_event *event;
        struct database *db;
        struct objects *sr_objects, *vdi_objects;
        struct sr *srs;
        size_t n_srs;
        void *vdis;                     /* tsearch(3), struct vdi */
        void *making;                   /* tsearch(3), struct vdi: UUIDs that are taken by what is being made */
        struct resource quick, slow;    /* places for operations that run */
        struct operation *operations;   /* all of them */
        size_t n_operations;
        struct operation *ready_first, *ready_last;     /* those whose turn has come */
        sd_event_source *pump;          /* lets them run */
        sd_event_source *prober;        /* looks after storage repositories that are unreachable */
        struct counter *counters;       /* one for each kind of operation */
        uint64_t bytes_imported, bytes_exported;
        const char *io_program, *vhost_program, *relay_program;
        struct hold *holds;             /* of all disks: hold.h */
        struct server *servers;         /* of all disks: server.h */
        bool is_quiescing;              /* begins nothing more: it may be on its way to another process */
        struct keeper *keeper;          /* NULL: the service is not on its way to another process */
};

/* No operation is left. */
void storage_is_quiet(struct storage *storage);

/* Disks */

int vdi_new(struct vdi **ret_vdi, struct sr *sr, const struct uuid *uuid, const char *name, const char *description);
struct vdi *vdi_ref(struct vdi *vdi);
struct vdi *vdi_unref(struct vdi *vdi);
struct vdi *vdi_find(struct storage *storage, const struct uuid *uuid);
/* What it is a snapshot of, or NULL. */
struct vdi *vdi_original(const struct vdi *vdi);
void labels_free(struct xcp_dict_s_s_entry *labels, size_t n);
int vdi_set_labels(struct vdi *vdi, const struct xcp_dict_s_s_entry *labels, size_t n);

/* Becomes one of its storage repository's, which then has a reference; the caller keeps his. Puts it on the bus unless it is hidden. */
int vdi_add(struct vdi *vdi, struct vdi *parent);

/* Becomes, or ceases to be, one that others see. */
int vdi_show(struct vdi *vdi);
void vdi_hide(struct vdi *vdi);

/* Is no longer one of its storage repository's. */
void vdi_remove(struct vdi *vdi);

void vdi_set_parent(struct vdi *vdi, struct vdi *parent);
void vdi_set_size(struct vdi *vdi, uint64_t size);
void vdi_changed(const struct vdi *vdi, unsigned properties);

/* Takes a UUID for a disk that is being made. AlreadyExists, LimitExceeded. */
int vdi_reserve(struct vdi *vdi, struct idl_error *error);
void vdi_unreserve(struct vdi *vdi);

/* Storage repositories */

int sr_new(struct sr **ret_sr, struct storage *storage, const char *id, const char *name, const struct driver *driver);
struct sr *sr_ref(struct sr *sr);
struct sr *sr_unref(struct sr *sr);
int sr_set_config(struct sr *sr, const struct xcp_dict_s_s_entry *config, size_t n);

/* On the list of all: its name is taken. The list has a reference. */
int sr_add(struct sr *sr);
int sr_show(struct sr *sr);
void sr_remove(struct sr *sr);                          /* with its disks */
struct sr *sr_find(struct storage *storage, const char *id);
struct sr *sr_find_by_name(struct storage *storage, const char *name);
const char *sr_config(const struct sr *sr, const char *key);    /* NULL: not set */

/* Announces it, and tells diagnostics. */
void sr_set_state(struct sr *sr, enum xcp_sr_state state, const char *reason);
void sr_changed(const struct sr *sr, unsigned properties);

/* Can it be used, and written? BadState, Unreachable, ReadOnly. */
int sr_check_usable(const struct sr *sr, bool to_write, struct idl_error *error);

/* The same of a disk, and is it there? DoesNotExist, BadState, too. */
int vdi_check_there(const struct vdi *vdi, bool to_write, struct idl_error *error);

static inline void vdi_unrefp(struct vdi **vdi) {
        if (*vdi)
                vdi_unref(*vdi);
}

static inline void sr_unrefp(struct sr **sr) {
        if (*sr)
                sr_unref(*sr);
}
