/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VM files: what `xcpctl up` takes, read and checked without asking anybody.
 *
 *         vms:
 *           web:
 *             memory: 1GiB
 *             disks:
 *               - { name: root, sr: local, size: 10GiB }
 *             network_interfaces: [ user ]
 *
 * Keys are those of the contract's records VmSpec, DiskSpec and NetworkInterfaceSpec, by which they are checked, and those that only such a
 * file has (vm_file_vm_keys, vm_file_disk_keys, vm_file_seed_keys). docs/vm-files.md has the whole of it.
 */

#include <gio/gio.h>

#include "contract.h"
#include "problems.h"

/* A record as the file has it. */
struct wish {
        struct place place;
        GHashTable *values;             /* a key's name → struct wish_value */
        GPtrArray *disks, *nics;        /* of a VM: struct wish */
        struct wish *seed;              /* of a VM: its cloud_init; NULL if it has none */
};

struct wish_value {
        struct place place;
        GVariant *value;                /* of the key's type; object paths as text */
};

struct vm_file {
        GPtrArray *vms;                 /* struct wish, each with a name, and so have its disks and network interfaces */
};

/* Of a file only, besides the contract's; end with one without a name. */
extern const struct contract_value vm_file_vm_keys[], vm_file_disk_keys[], vm_file_seed_keys[];

/* The file's contents. What it holds if there are no problems, and something that makes sense if there are. Never NULL. */
struct vm_file *vm_file_parse(const char *data, size_t n, struct problems *problems);
void vm_file_free(struct vm_file *file);

/* NULL if it is not there; text belongs to the wish. */
GVariant *wish_get(const struct wish *wish, const char *key);
const char *wish_text(const struct wish *wish, const char *key);
bool wish_flag(const struct wish *wish, const char *key, bool fallback);

/* Of a key's value; of the whole if there is no such key. */
struct place wish_place(const struct wish *wish, const char *key);

/* Keys of a record that are no object paths and lists of records, a{sv}: floating. */
GVariantBuilder *wish_record(const struct wish *wish, const char *record);
