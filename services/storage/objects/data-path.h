/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Data paths: who uses a disk, and how far each has got.
 *
 *                  attach             activate
 *         nothing ────────► Attached ──────────► Activated
 *            ▲                │   ▲  deactivate      │
 *            └────────────────┘   └──────────────────┘
 *              detach, from either
 *
 * For one reader, each step can be repeated: what is so already succeeds. Between readers there is one rule: while one is Activated who
 * writes, no other can be, unless the disk is sharable. This is the state machine, and nothing else: no I/O, no bus, no database.
 */

#include <stdbool.h>
#include <stddef.h>

#include "error.h"
#include "xcp-types.h"

#define DATA_PATH_READER_MAX 128u       /* bytes of a reader's name */
#define DATA_PATHS_MAX 64u              /* readers of one disk: a pool's hosts, and then some */

struct data_path {
        char *reader;
        enum xcp_data_path_kind kind;
        enum xcp_disk_mode mode;
        enum xcp_data_path_state state;
};

struct data_paths {
        struct data_path *items;
        size_t n;
};

/* Of the disk, as far as it matters here. */
struct data_path_disk {
        const char *uuid;
        bool read_only;
        bool sharable;
        unsigned kinds;                 /* those that it can be reached by: bits 1 << enum xcp_data_path_kind */
};

enum data_path_outcome {                /* results of the steps that are not errors */
        DATA_PATH_SAME,                 /* it was so already */
        DATA_PATH_CHANGED,
};

void data_paths_done(struct data_paths *paths);

const struct data_path *data_paths_find(const struct data_paths *paths, const char *reader);

/* An Activated reader other than this one (may be NULL) who writes, or NULL. */
const struct data_path *data_paths_writer(const struct data_paths *paths, const char *other_than);

/* Whether an other reader than this one is Activated, for reading or for writing. */
bool data_paths_is_other_active(const struct data_paths *paths, const char *other_than);

/* What attaching would come to, and the kind that it would be of. */
int data_paths_check_attach(const struct data_paths *paths, const struct data_path_disk *disk, const char *reader, enum xcp_disk_mode mode,
                            const enum xcp_data_path_kind *kinds, size_t n_kinds, enum xcp_data_path_kind *ret_kind, struct idl_error *error);

/* What activating would come to. */
int data_paths_check_activate(const struct data_paths *paths, const struct data_path_disk *disk, const char *reader, struct idl_error *error);

/* Steps: an outcome, or a negative errno with error set, and then nothing has changed. kinds: the reader's, best first. */
int data_paths_attach(struct data_paths *paths, const struct data_path_disk *disk, const char *reader, enum xcp_disk_mode mode,
                      const enum xcp_data_path_kind *kinds, size_t n_kinds, struct idl_error *error);
int data_paths_activate(struct data_paths *paths, const struct data_path_disk *disk, const char *reader, struct idl_error *error);
int data_paths_deactivate(struct data_paths *paths, const char *reader, struct idl_error *error);
int data_paths_detach(struct data_paths *paths, const char *reader);

/* Puts one in as it is known to be, at the start of the service. */
int data_paths_restore(struct data_paths *paths, const char *reader, enum xcp_data_path_kind kind, enum xcp_disk_mode mode,
                       enum xcp_data_path_state state);
