/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Snapshots of a VM: which there are. What they have is in the store, and with the storage service. */

#include "vm.h"

#define SNAPSHOTS_MAX 64u               /* of a VM; a disk of them has at most 32 images on top of each other, and copies beyond */

struct snapshot {
        struct snapshot *next;          /* which is later */
        char *name;
        char uuid[37];
        uint64_t created_usec;
        char *memory;                   /* the VDI; NULL: it has none */
};

struct snapshot *snapshot_find(const struct vm *vm, const char *name);
size_t snapshot_count(const struct vm *vm);

/* From the store, or new there. */
int snapshot_load(struct vm *vm, const struct store_snapshot *stored);

/* Removes it; its VDIs are garbage. */
int snapshot_remove(struct vm *vm, struct snapshot *snapshot, struct idl_error *error);

/* They are not forgotten, but by this process. */
void snapshots_free(struct vm *vm);

void snapshots_tell(struct vm *vm);
