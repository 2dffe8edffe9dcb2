/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The store: what the manager keeps.
 *
 * Two databases. xenopsd.db is durable: the VMs, and where the memory of those that are Saved is. live.db does not wait for the disk:
 * what VMs were when that was last written down, when they were restarted, and what of the storage service they have attached. Power loss ends both.
 *
 * Failures are those of database.h, made into errors.
 */

#include <stdbool.h>
#include <stdint.h>

#include "database.h"
#include "idl.h"
#include "xcp-types.h"

struct store;

extern const struct database_schema store_schema;       /* of xenopsd.db */

/* db: xenopsd.db, the service's. A live.db of another boot is emptied, but for attachments. */
int store_open(struct store **ret_store, struct database *db, const char *state_dir);
struct store *store_close(struct store *store);

/* bus: any, to make messages with. AlreadyExists: name, uuid or a MAC address. */
int store_add_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error);
int store_change_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error);
int store_remove_vm(struct store *store, const char *uuid, struct idl_error *error);

/* Whether some VM has a network interface with this address. */
bool store_has_mac(struct store *store, const char *mac);

/* Whether a VM stands still, or is Saved, for a moment only, and what it was before. */
enum store_passing {
        STORE_LASTING,
        STORE_PASSING_RUNNING,
        STORE_PASSING_SUSPENDED,
};

/* What happened to a VM that must not be forgotten. */
struct store_fate {
        const char *saved_vdi;          /* its memory is there; NULL: it is not Saved */
        bool is_away;                   /* it was moved elsewhere, and must not run here as well, until somebody says so */
        enum store_passing passing;
};

int store_set_fate(struct store *store, const char *uuid, const struct store_fate *fate, struct idl_error *error);

/* What a VM is. Failures are logged: the VM is so all the same. */
struct store_life {
        enum xcp_vm_state state;        /* 0: nothing is known since the host was booted */
        enum xcp_vm_state_reason reason;
        const char *detail;
};

void store_set_life(struct store *store, const char *uuid, const struct store_life *life);

/* When a VM was restarted because of what its guest did, and what was before since_usec is forgotten. Failures are logged. */
void store_add_restart(struct store *store, const char *uuid, uint64_t at_usec, uint64_t since_usec);

typedef void (*store_restart_t)(void *userdata, uint64_t at_usec);

int store_load_restarts(struct store *store, const char *uuid, store_restart_t callback, void *userdata);      /* the oldest first */

/* Loading: calls back for each VM. What is passed is valid until the callback returns. */
typedef int (*store_vm_t)(void *userdata, const struct xcp_vm_spec *spec, const struct store_fate *fate, const struct store_life *life);

int store_load_vms(struct store *store, sd_bus *bus, store_vm_t callback, void *userdata);

/* What VMs have, or may have, attached. disk: its name in the VM, or empty for saved memory. */
typedef int (*store_attachment_t)(void *userdata, const char *uuid, const char *disk, const char *vdi, const char *reader);

int store_add_attachment(struct store *store, const char *uuid, const char *disk, const char *vdi, const char *reader,
                         struct idl_error *error);
void store_remove_attachment(struct store *store, const char *uuid, const char *disk);
int store_load_attachments(struct store *store, store_attachment_t callback, void *userdata);

/*
 * Snapshots. spec: what the VM was, with what is kept of its disks in their place. What was made for one is garbage (below), with its
 * UUID as the owner, until it is added; and when it is removed.
 */
struct store_snapshot {
        const char *uuid, *vm, *name;
        uint64_t created_usec;
        const char *memory;             /* the VDI; NULL: there is none */
};

typedef int (*store_snapshot_t)(void *userdata, const struct store_snapshot *snapshot);

int store_add_snapshot(struct store *store, sd_bus *bus, const struct store_snapshot *snapshot, const struct xcp_vm_spec *spec,
                       struct idl_error *error);
int store_remove_snapshot(struct store *store, sd_bus *bus, const struct store_snapshot *snapshot, struct idl_error *error);
int store_load_snapshots(struct store *store, store_snapshot_t callback, void *userdata);
int store_get_snapshot_spec(struct store *store, sd_bus *bus, const char *uuid, struct idl_arena *arena, struct xcp_vm_spec *ret_spec,
                            struct idl_error *error);

/* A VM becomes what it was: what owner has is garbage no more, and the disks that it had are. */
int store_revert_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, const struct store_fate *fate, const char *owner,
                    const char *const *vdis, size_t n_vdis, struct idl_error *error);

/* VDIs that are to be destroyed. */
struct store_garbage {
        const char *name;               /* of the VDI, of which there is no other; or the VDI, if it was not made by the manager */
        const char *owner;              /* whose it is */
        const char *vdi;                /* NULL: it may have been made, or not */
        bool is_patient;                /* when it is in use, it is tried again */
        uint64_t since_usec;            /* since 1970 */
};

int store_add_garbage(struct store *store, const struct store_garbage *garbage, struct idl_error *error);
int store_set_garbage_vdi(struct store *store, const char *name, const char *vdi, struct idl_error *error);
void store_remove_garbage(struct store *store, const char *name);

/* The next one after a name: 1, 0 if there is none. Strings are the arena's. */
int store_next_garbage(struct store *store, const char *after, struct idl_arena *arena, struct store_garbage *ret_garbage);

/* Settings of the manager. */
int store_get_setting(struct store *store, const char *name, char **ret_value);         /* -ENOENT */
int store_set_setting(struct store *store, const char *name, const char *value, struct idl_error *error);

/* Is this the first run since the host was booted? */
bool store_is_new_boot(const struct store *store);

static inline void store_closep(struct store **store) {
        store_close(*store);
}
