/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Drivers: the kinds of storage repositories.
 *
 * A driver does nothing itself. It says which steps an operation has to run (plan.h), and understands what the steps that look at its
 * storage print. Each operation that changes the storage has an intent in the database before its first step runs, so a driver has
 * for each kind of intent the steps that undo it, or complete it, from wherever it was left (docs/storage.md, "Crash safety").
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "uuid.h"
#include "xcp-types.h"

struct found_disk;
struct plan;
struct place;
struct scan;
struct sr;
struct vdi;

enum intent_kind {                      /* names are in the database: never change them */
        INTENT_MAKE,                    /* a disk, or something that only passes through: undone */
        INTENT_REMOVE,                  /* a disk: completed */
        INTENT_FREEZE,                  /* a disk's image becomes another's, and it gets a new one on top: undone */
        INTENT_RESIZE,                  /* a disk: the image says which size it has */
        _INTENT_KIND_N,
};

struct intent {
        struct intent *next;
        enum intent_kind kind;
        char id[UUID_TEXT_SIZE];        /* the disk */
        char frozen[UUID_TEXT_SIZE];    /* freeze: what the image becomes; else empty */
        char clone[UUID_TEXT_SIZE];     /* freeze: a second disk on top of that; empty if there is none */
        enum xcp_vdi_format format;
        uint64_t size;                  /* resize: the one to be */
        uint64_t found_size;            /* resize: the one that it has; UINT64_MAX: not known */
        bool found;                     /* remove: it is still there */
};

struct driver {
        const char *name, *description;
        const char *const *features;    /* NULL ends the list */
        const struct xcp_dict_s_s_entry *options;
        size_t n_options;
        unsigned formats;               /* bits 1 << enum xcp_vdi_format */
        enum xcp_vdi_format default_format;
        unsigned data_paths;            /* bits 1 << enum xcp_data_path_kind */

        /* Are these its options, with values that can be? All keys are among options. */
        int (*check_config)(const struct xcp_dict_s_s_entry *config, size_t n, struct idl_error *error);

        void (*make_sr)(struct plan *plan, const struct sr *sr);
        void (*unmake_sr)(struct plan *plan, const struct sr *sr);

        /* expected: the UUID that it has to have, or - for any. */
        void (*scan)(struct plan *plan, const struct sr *sr, const char *expected);
        int (*scan_line)(struct scan *scan, const char *line);  /* -EBADMSG: not understood */
        int (*attach)(struct sr *sr, struct scan *scan);        /* takes over what the scan found, before any disk is used */
        int (*adopt)(struct sr *sr, const struct found_disk *disk);     /* one that a later scan found; may be NULL */
        void (*detach)(struct sr *sr);

        void (*space)(struct plan *plan, const struct sr *sr);
        void (*usage)(struct plan *plan, const struct vdi *vdi);        /* a line usage BYTES for it, and for each parent */

        /* Takes and gives back room for a disk of vdi->size bytes. NULL: there is nothing to take. */
        int (*take)(struct vdi *vdi, struct idl_error *error);
        void (*give)(struct vdi *vdi);

        void (*make)(struct plan *plan, const struct vdi *vdi);         /* a disk of zeros, whole */
        void (*begin)(struct plan *plan, const struct vdi *vdi);        /* the place of a disk that is going to be filled: zeros */
        void (*publish)(struct plan *plan, const struct vdi *vdi);      /* it is filled: the disk is whole */
        void (*remove)(struct plan *plan, const struct sr *sr, const struct vdi *const *vdis, size_t n);
        void (*sync)(struct plan *plan, const struct vdi *vdi);

        /*
         * Fills a disk from a descriptor, up to publish. vdi->size: 0 if it is not known yet, and set when it is. source_size: 0 if it is
         * no file. stage: a disk that is never made, for what passes through.
         */
        int (*import)(struct plan *plan, struct vdi *vdi, struct vdi *stage, int fd, enum xcp_vdi_format format, uint64_t source_size,
                      struct idl_error *error);
        int (*export)(struct plan *plan, const struct vdi *vdi, const struct vdi *stage, int fd, enum xcp_vdi_format format,
                      struct idl_error *error);

        /* A snapshot, frozen, or a clone on top of frozen as well as the disk itself. NULL: copies are made. */
        void (*freeze)(struct plan *plan, const struct vdi *vdi, const struct vdi *frozen, const struct vdi *clone);

        /* Makes a disk larger. grown() ends it: what was taken for that is kept, or given back. */
        int (*grow)(struct plan *plan, struct vdi *vdi, uint64_t size, struct idl_error *error);
        void (*grown)(struct vdi *vdi, uint64_t size, bool done);       /* may be NULL */

        /* Writes down what the storage itself knows of a disk. NULL: it knows nothing that can change. */
        void (*note)(struct plan *plan, const struct vdi *vdi);

        /* Undoes or completes an intent. look() only finds out what became of it: intent->found and found_size. */
        void (*recover)(struct plan *plan, const struct sr *sr, struct intent *intent);
        void (*look)(struct plan *plan, const struct sr *sr, struct intent *intent);

        /* Where a disk is; begun: before it is published. */
        void (*place)(struct plan *plan, const struct vdi *vdi, bool begun, struct place *ret_place);

        /* A path and parameters for a reader, in the arena. */
        int (*data_path)(const struct vdi *vdi, struct idl_arena *arena, struct xcp_data_path *path);
};

extern const struct driver driver_directory, driver_file;

/* All of them: NULL ends the list. */
extern const struct driver *const drivers[];

const struct driver *driver_find(const char *name);

/* The value of a key, or NULL. */
const char *driver_option(const struct xcp_dict_s_s_entry *config, size_t n, const char *key);
