/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store-private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-id128.h>

#include "cleanup.h"
#include "database-error.h"
#include "message-blob.h"

const struct database_schema store_schema = {
        (const char *const[]) {
                "CREATE TABLE vm (uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, spec BLOB NOT NULL, saved_vdi TEXT,"
                " is_away INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;"
                "CREATE TABLE mac (mac TEXT PRIMARY KEY, vm TEXT NOT NULL REFERENCES vm (uuid) ON DELETE CASCADE) WITHOUT ROWID;"
                "CREATE INDEX mac_vm ON mac (vm);"
                "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;",
                "ALTER TABLE vm ADD COLUMN passing INTEGER NOT NULL DEFAULT 0;"
                "CREATE TABLE snapshot (uuid TEXT PRIMARY KEY, vm TEXT NOT NULL, name TEXT NOT NULL, created_us INTEGER NOT NULL,"
                " memory TEXT, spec BLOB NOT NULL, UNIQUE (vm, name)) WITHOUT ROWID;"
                "CREATE TABLE garbage (name TEXT PRIMARY KEY, owner TEXT NOT NULL, vdi TEXT, is_patient INTEGER NOT NULL,"
                " since INTEGER NOT NULL) WITHOUT ROWID;"
                "CREATE INDEX garbage_owner ON garbage (owner);",
        },
        2,
};

static const struct database_schema live_schema = {
        (const char *const[]) {
                "CREATE TABLE life (vm TEXT PRIMARY KEY, state INTEGER NOT NULL, reason INTEGER NOT NULL, detail TEXT NOT NULL)"
                " WITHOUT ROWID;"
                "CREATE TABLE attachment (vm TEXT NOT NULL, disk TEXT NOT NULL, vdi TEXT NOT NULL, reader TEXT NOT NULL,"
                " PRIMARY KEY (vm, disk)) WITHOUT ROWID;"
                "CREATE TABLE boot (id TEXT NOT NULL);",
                "CREATE TABLE restart (vm TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (vm, at)) WITHOUT ROWID;",
        },
        2,
};

/* Whether live.db is of this boot. What VMs were before it, they are not any more. */
static int check_boot(struct store *store) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        char now[SD_ID128_STRING_MAX];
        bool is_same = false;
        sd_id128_t id;
        int r;

        r = sd_id128_get_boot(&id);
        if (r < 0)
                return r;
        sd_id128_to_string(id, now);
        {
                AUTO_ROWS struct database_rows *rows = NULL;

                r = database_query(store->live, &rows, "SELECT id FROM boot", NULL);
                if (r >= 0)
                        r = database_next(rows);
                if (r < 0)
                        return r;
                is_same = r > 0 && strcmp(database_text(rows, 0) ?: "", now) == 0;
        }
        store->is_new_boot = !is_same;
        if (is_same)
                return 0;
        r = database_begin(store->live, &transaction);
        if (r >= 0)
                r = database_run(store->live, "DELETE FROM life", NULL);
        if (r >= 0)             /* its times are of the boot's clock */
                r = database_run(store->live, "DELETE FROM restart", NULL);
        if (r >= 0)
                r = database_run(store->live, "DELETE FROM boot", NULL);
        if (r >= 0)
                r = database_run(store->live, "INSERT INTO boot (id) VALUES (?)", "s", now);
        return r < 0 ? r : database_commit(&transaction);
}

int store_open(struct store **ret_store, struct database *db, const char *state_dir) {
        AUTO(store_closep) struct store *store = calloc(1, sizeof *store);
        AUTO_FREE char *path = NULL;
        int r;

        if (!store)
                return -ENOMEM;
        store->db = db;
        if (asprintf(&path, "%s/live.db", state_dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        r = database_open(&store->live, path, DATABASE_CRASH_SAFE, &live_schema);
        if (r < 0)
                return r;
        r = check_boot(store);
        if (r < 0)
                return database_set_error(store->live, r, NULL);
        *ret_store = store;
        store = NULL;
        return 0;
}

struct store *store_close(struct store *store) {
        if (store)
                database_close(store->live);
        free(store);
        return NULL;
}

bool store_is_new_boot(const struct store *store) {
        return store->is_new_boot;
}

/* VMs */

int store_write_spec(sd_bus *bus, const struct xcp_vm_spec *spec, void **ret_data, size_t *ret_size) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        r = sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL);
        if (r >= 0)
                r = xcp_vm_spec_append(message, spec);
        if (r >= 0)
                r = sd_bus_message_seal(message, 1, 0);
        return r < 0 ? r : message_blob_write(message, ret_data, ret_size);
}

/* What is taken, if one of the constraints refused. */
static int set_exists(struct store *store, const struct xcp_vm_spec *spec, struct idl_error *error) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->db, &rows, "SELECT uuid = ? FROM vm WHERE uuid = ? OR (name = ? AND uuid <> ?)", "ssss", spec->uuid,
                           spec->uuid, spec->name, spec->uuid);
        if (r >= 0)
                r = database_next(rows);
        if (r > 0)
                return database_integer(rows, 0) ? idl_error_set_already_exists(error, "VM", spec->uuid)
                                                 : idl_error_set_already_exists(error, "VM", spec->name);
        return idl_error_set_already_exists(error, "MAC address", spec->network_interfaces[0].mac);
}

static int add_macs(struct store *store, const struct xcp_vm_spec *spec, struct idl_error *error) {
        for (size_t i = 0; i < spec->n_network_interfaces; i++) {
                const char *mac = spec->network_interfaces[i].mac;
                int r;

                r = database_run(store->db, "INSERT INTO mac (mac, vm) VALUES (?, ?)", "ss", mac, spec->uuid);
                if (r == -EEXIST)
                        return idl_error_set_already_exists(error, "MAC address", mac);
                if (r < 0)
                        return database_set_error(store->db, r, error);
        }
        return 0;
}

int store_add_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        AUTO_FREE void *data = NULL;
        size_t size;
        int r;

        r = store_write_spec(bus, spec, &data, &size);
        if (r < 0)
                return r;
        r = database_begin(store->db, &transaction);
        if (r < 0)
                return database_set_error(store->db, r, error);
        r = database_run(store->db, "INSERT INTO vm (uuid, name, spec) VALUES (?, ?, ?)", "ssb", spec->uuid, spec->name, data, size);
        if (r == -EEXIST)
                return set_exists(store, spec, error);
        if (r < 0)
                return database_set_error(store->db, r, error);
        r = add_macs(store, spec, error);
        if (r < 0)
                return r;
        r = database_commit(&transaction);
        return r < 0 ? database_set_error(store->db, r, error) : 0;
}

int store_update_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error) {
        AUTO_FREE void *data = NULL;
        size_t size;
        int r;

        r = store_write_spec(bus, spec, &data, &size);
        if (r < 0)
                return r;
        r = database_run(store->db, "UPDATE vm SET name = ?, spec = ? WHERE uuid = ?", "sbs", spec->name, data, size, spec->uuid);
        if (r == -EEXIST)
                return idl_error_set_already_exists(error, "VM", spec->name);
        if (r >= 0)
                r = database_run(store->db, "DELETE FROM mac WHERE vm = ?", "s", spec->uuid);
        return r < 0 ? database_set_error(store->db, r, error) : add_macs(store, spec, error);
}

int store_change_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(store->db, &transaction);
        if (r < 0)
                return database_set_error(store->db, r, error);
        r = store_update_vm(store, bus, spec, error);
        if (r < 0)
                return r;
        r = database_commit(&transaction);
        return r < 0 ? database_set_error(store->db, r, error) : 0;
}

int store_remove_vm(struct store *store, const char *uuid, struct idl_error *error) {
        int r;

        r = database_run(store->db, "DELETE FROM vm WHERE uuid = ?", "s", uuid);
        if (r < 0)
                return database_set_error(store->db, r, error);
        r = database_run(store->live, "DELETE FROM life WHERE vm = ?", "s", uuid);
        if (r >= 0)
                r = database_run(store->live, "DELETE FROM restart WHERE vm = ?", "s", uuid);
        if (r < 0)              /* what nobody has is not looked at any more */
                database_set_error(store->live, r, NULL);
        return 0;
}

bool store_has_mac(struct store *store, const char *mac) {
        AUTO_ROWS struct database_rows *rows = NULL;

        return database_query(store->db, &rows, "SELECT 1 FROM mac WHERE mac = ?", "s", mac) >= 0 && database_next(rows) > 0;
}

int store_set_fate(struct store *store, const char *uuid, const struct store_fate *fate, struct idl_error *error) {
        int r;

        r = database_run(store->db, "UPDATE vm SET saved_vdi = ?, is_away = ?, passing = ? WHERE uuid = ?", "siis", fate->saved_vdi,
                         (int) fate->is_away, (int) fate->passing, uuid);
        return r < 0 ? database_set_error(store->db, r, error) : 0;
}

void store_set_life(struct store *store, const char *uuid, const struct store_life *life) {
        int r;

        r = database_run(store->live, "INSERT OR REPLACE INTO life (vm, state, reason, detail) VALUES (?, ?, ?, ?)", "siis", uuid,
                         (int) life->state, (int) life->reason, life->detail ?: "");
        if (r < 0)
                database_set_error(store->live, r, NULL);
}

void store_add_restart(struct store *store, const char *uuid, uint64_t at_usec, uint64_t since_usec) {
        int r;

        r = database_run(store->live, "DELETE FROM restart WHERE vm = ? AND at < ?", "sx", uuid, (int64_t) since_usec);
        if (r >= 0)
                r = database_run(store->live, "INSERT OR REPLACE INTO restart (vm, at) VALUES (?, ?)", "sx", uuid, (int64_t) at_usec);
        if (r < 0)
                database_set_error(store->live, r, NULL);
}

int store_load_restarts(struct store *store, const char *uuid, store_restart_t callback, void *userdata) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->live, &rows, "SELECT at FROM restart WHERE vm = ? ORDER BY at", "s", uuid);
        if (r < 0)
                return database_set_error(store->live, r, NULL);
        while ((r = database_next(rows)) > 0)
                callback(userdata, (uint64_t) database_integer(rows, 0));
        return r < 0 ? database_set_error(store->live, r, NULL) : 0;
}

int store_read_spec(const void *data, size_t size, struct idl_arena *arena, sd_bus_message *message, struct xcp_vm_spec *ret_spec) {
        struct idl_reader reader;
        int r;

        r = message_blob_read(message, data, size);
        if (r >= 0)
                r = sd_bus_message_seal(message, 1, 0);
        if (r < 0)
                return r;
        idl_reader_init(&reader, message, arena);
        return xcp_vm_spec_read(&reader, ret_spec);
}

static int load_life(struct store *store, const char *uuid, struct store_life *ret_life, char *detail, size_t size) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        *ret_life = (struct store_life) { .detail = detail };
        detail[0] = '\0';
        r = database_query(store->live, &rows, "SELECT state, reason, detail FROM life WHERE vm = ?", "s", uuid);
        if (r >= 0)
                r = database_next(rows);
        if (r <= 0)
                return r;
        snprintf(detail, size, "%s", database_text(rows, 2) ?: "");
        if (!xcp_vm_state_to_string((enum xcp_vm_state) database_integer(rows, 0)) ||
            !xcp_vm_state_reason_to_string((enum xcp_vm_state_reason) database_integer(rows, 1)))
                return 0;
        ret_life->state = (enum xcp_vm_state) database_integer(rows, 0);
        ret_life->reason = (enum xcp_vm_state_reason) database_integer(rows, 1);
        return 0;
}

static int load_vm(struct store *store, sd_bus *bus, struct database_rows *rows, store_vm_t callback, void *userdata) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        struct store_fate fate = { database_text(rows, 2), database_integer(rows, 3), (unsigned) database_integer(rows, 4) };
        struct xcp_vm_spec spec;
        struct store_life life;
        const void *data;
        char detail[512];
        size_t size;
        int r;

        r = load_life(store, database_text(rows, 0) ?: "", &life, detail, sizeof detail);
        if (r < 0)
                return database_set_error(store->live, r, NULL);
        r = sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL);
        if (r < 0)
                return r;
        data = database_blob(rows, 1, &size);
        r = store_read_spec(data, size, &arena, message, &spec);
        if (r < 0)
                return -EUCLEAN;
        return callback(userdata, &spec, &fate, &life);
}

int store_load_vms(struct store *store, sd_bus *bus, store_vm_t callback, void *userdata) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->db, &rows, "SELECT uuid, spec, saved_vdi, is_away, passing FROM vm", NULL);
        if (r < 0)
                return database_set_error(store->db, r, NULL);
        while ((r = database_next(rows)) > 0) {
                r = load_vm(store, bus, rows, callback, userdata);
                if (r < 0)
                        return r;
        }
        return r < 0 ? database_set_error(store->db, r, NULL) : 0;
}

/* Attachments */

int store_add_attachment(struct store *store, const char *uuid, const char *disk, const char *vdi, const char *reader,
                         struct idl_error *error) {
        int r;

        r = database_run(store->live, "INSERT OR REPLACE INTO attachment (vm, disk, vdi, reader) VALUES (?, ?, ?, ?)", "ssss", uuid,
                         disk, vdi, reader);
        return r < 0 ? database_set_error(store->live, r, error) : 0;
}

void store_remove_attachment(struct store *store, const char *uuid, const char *disk) {
        int r;

        r = database_run(store->live, "DELETE FROM attachment WHERE vm = ? AND disk = ?", "ss", uuid, disk);
        if (r < 0)              /* it will be detached once more, which does nothing */
                database_set_error(store->live, r, NULL);
}

int store_load_attachments(struct store *store, store_attachment_t callback, void *userdata) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->live, &rows, "SELECT vm, disk, vdi, reader FROM attachment", NULL);
        if (r < 0)
                return database_set_error(store->live, r, NULL);
        while ((r = database_next(rows)) > 0) {
                r = callback(userdata, database_text(rows, 0) ?: "", database_text(rows, 1) ?: "", database_text(rows, 2) ?: "",
                             database_text(rows, 3) ?: "");
                if (r < 0)
                        return r;
        }
        return r < 0 ? database_set_error(store->live, r, NULL) : 0;
}

/* Settings */

int store_get_setting(struct store *store, const char *name, char **ret_value) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(store->db, &rows, "SELECT value FROM setting WHERE name = ?", "s", name);
        if (r >= 0)
                r = database_next(rows);
        if (r < 0)
                return database_set_error(store->db, r, NULL);
        if (r == 0)
                return -ENOENT;
        *ret_value = strdup(database_text(rows, 0) ?: "");
        return *ret_value ? 0 : -ENOMEM;
}

int store_set_setting(struct store *store, const char *name, const char *value, struct idl_error *error) {
        int r;

        r = database_run(store->db, "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", "ss", name, value);
        return r < 0 ? database_set_error(store->db, r, error) : 0;
}
