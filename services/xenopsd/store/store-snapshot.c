/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store's snapshots, and what is to be destroyed. */

#include <errno.h>

#include "cleanup.h"
#include "clock.h"
#include "database-error.h"
#include "spec.h"
#include "store-private.h"

static int set_error(struct store *store, int r, struct idl_error *error) {
        return r < 0 ? database_set_error(store->db, r, error) : 0;
}

/* Garbage */

static int add_garbage(struct store *store, const char *name, const char *owner, const char *vdi, bool is_patient) {
        return database_run(store->db, "INSERT OR REPLACE INTO garbage (name, owner, vdi, is_patient, since) VALUES (?, ?, ?, ?, ?)",
                            "sssix", name, owner, vdi, (int) is_patient, (int64_t) clock_now_usec(CLOCK_REALTIME));
}

int store_add_garbage(struct store *store, const struct store_garbage *garbage, struct idl_error *error) {
        return set_error(store, add_garbage(store, garbage->name, garbage->owner, garbage->vdi, garbage->is_patient), error);
}

int store_set_garbage_vdi(struct store *store, const char *name, const char *vdi, struct idl_error *error) {
        return set_error(store, database_run(store->db, "UPDATE garbage SET vdi = ? WHERE name = ?", "ss", vdi, name), error);
}

void store_remove_garbage(struct store *store, const char *name) {
        int r;

        r = database_run(store->db, "DELETE FROM garbage WHERE name = ?", "s", name);
        if (r < 0)              /* what is not there any more is looked for once more */
                database_set_error(store->db, r, NULL);
}

int store_next_garbage(struct store *store, const char *after, struct idl_arena *arena, struct store_garbage *ret_garbage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        const char *vdi;
        int r;

        r = database_query(store->db, &rows, "SELECT name, owner, vdi, is_patient, since FROM garbage WHERE name > ? ORDER BY name LIMIT 1",
                           "s", after);
        if (r >= 0)
                r = database_next(rows);
        if (r <= 0)
                return r < 0 ? database_set_error(store->db, r, NULL) : 0;
        vdi = database_text(rows, 2);
        *ret_garbage = (struct store_garbage) {
                .name = idl_arena_strdup(arena, database_text(rows, 0) ?: ""),
                .owner = idl_arena_strdup(arena, database_text(rows, 1) ?: ""),
                .vdi = vdi ? idl_arena_strdup(arena, vdi) : NULL,
                .is_patient = database_integer(rows, 3),
                .since_usec = (uint64_t) database_integer(rows, 4),
        };
        return ret_garbage->name && ret_garbage->owner && (ret_garbage->vdi || !vdi) ? 1 : -ENOMEM;
}

/* Snapshots */

int store_add_snapshot(struct store *store, sd_bus *bus, const struct store_snapshot *snapshot, const struct xcp_vm_spec *spec,
                       struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        AUTO_FREE void *data = NULL;
        size_t size;
        int r;

        r = store_write_spec(bus, spec, &data, &size);
        if (r < 0)
                return r;
        r = database_begin(store->db, &transaction);
        if (r >= 0)
                r = database_run(store->db, "INSERT INTO snapshot (uuid, vm, name, created_us, memory, spec) VALUES (?, ?, ?, ?, ?, ?)",
                                 "sssxsb", snapshot->uuid, snapshot->vm, snapshot->name, (int64_t) snapshot->created_usec,
                                 snapshot->memory, data, size);
        if (r >= 0)
                r = database_run(store->db, "DELETE FROM garbage WHERE owner = ?", "s", snapshot->uuid);
        if (r >= 0)
                r = database_commit(&transaction);
        return set_error(store, r, error);
}

int store_get_snapshot_spec(struct store *store, sd_bus *bus, const char *uuid, struct idl_arena *arena, struct xcp_vm_spec *ret_spec,
                            struct idl_error *error) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        AUTO_ROWS struct database_rows *rows = NULL;
        const void *data;
        size_t size;
        int r;

        r = database_query(store->db, &rows, "SELECT spec FROM snapshot WHERE uuid = ?", "s", uuid);
        if (r >= 0)
                r = database_next(rows);
        if (r < 0)
                return set_error(store, r, error);
        if (r == 0)
                return idl_error_set_does_not_exist(error, "snapshot", uuid);
        r = sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL);
        if (r < 0)
                return r;
        data = database_blob(rows, 0, &size);
        r = store_read_spec(data, size, arena, message, ret_spec);
        return r < 0 ? r : idl_arena_keep_message(arena, message);
}

int store_remove_snapshot(struct store *store, sd_bus *bus, const struct store_snapshot *snapshot, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_vm_spec spec;
        int r;

        r = store_get_snapshot_spec(store, bus, snapshot->uuid, &arena, &spec, error);
        if (r < 0)
                return r;
        r = database_begin(store->db, &transaction);
        for (size_t i = 0; i < spec.n_disks && r >= 0; i++)
                if (spec_is_kept(spec.disks + i))
                        r = add_garbage(store, spec.disks[i].vdi, snapshot->uuid, spec.disks[i].vdi, true);
        if (r >= 0 && snapshot->memory)
                r = add_garbage(store, snapshot->memory, snapshot->uuid, snapshot->memory, true);
        if (r >= 0)
                r = database_run(store->db, "DELETE FROM snapshot WHERE uuid = ?", "s", snapshot->uuid);
        if (r >= 0)
                r = database_commit(&transaction);
        return set_error(store, r, error);
}

int store_load_snapshots(struct store *store, store_snapshot_t callback, void *userdata) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->db, &rows, "SELECT uuid, vm, name, created_us, memory FROM snapshot ORDER BY created_us", NULL);
        if (r < 0)
                return set_error(store, r, NULL);
        while ((r = database_next(rows)) > 0) {
                const struct store_snapshot snapshot = {
                        .uuid = database_text(rows, 0) ?: "",
                        .vm = database_text(rows, 1) ?: "",
                        .name = database_text(rows, 2) ?: "",
                        .created_usec = (uint64_t) database_integer(rows, 3),
                        .memory = database_text(rows, 4),
                };

                r = callback(userdata, &snapshot);
                if (r < 0)
                        return r;
        }
        return set_error(store, r, NULL);
}

int store_revert_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, const struct store_fate *fate, const char *owner,
                    const char *const *vdis, size_t n_vdis, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(store->db, &transaction);
        if (r < 0)
                return set_error(store, r, error);
        r = store_update_vm(store, bus, spec, error);
        if (r >= 0)
                r = store_set_fate(store, spec->uuid, fate, error);
        if (r < 0)
                return r;
        r = database_run(store->db, "DELETE FROM garbage WHERE owner = ?", "s", owner);
        for (size_t i = 0; i < n_vdis && r >= 0; i++)
                r = add_garbage(store, vdis[i], owner, vdis[i], false);
        if (r >= 0)
                r = database_commit(&transaction);
        return set_error(store, r, error);
}
