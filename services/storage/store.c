/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "log.h"
#include "server.h"

enum {                                  /* vdi.flags; never change them */
        FLAG_READ_ONLY = 1 << 0,
        FLAG_SHARABLE = 1 << 1,
        FLAG_SNAPSHOT = 1 << 2,
        FLAG_MISSING = 1 << 3,
        FLAG_HIDDEN = 1 << 4,
};

static const char *const intent_names[_INTENT_KIND_N] = {
        [INTENT_MAKE] = "make",
        [INTENT_REMOVE] = "remove",
        [INTENT_FREEZE] = "freeze",
        [INTENT_RESIZE] = "resize",
};

const struct database_schema store_schema = {
        (const char *const[]) {
                "CREATE TABLE sr (uuid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, driver TEXT NOT NULL,"
                "        attached INTEGER NOT NULL, pending TEXT NOT NULL);"
                "CREATE TABLE sr_config (sr TEXT NOT NULL REFERENCES sr ON DELETE CASCADE, key TEXT NOT NULL, value TEXT NOT NULL,"
                "        PRIMARY KEY (sr, key)) WITHOUT ROWID;"
                "CREATE TABLE vdi (uuid TEXT PRIMARY KEY, sr TEXT NOT NULL REFERENCES sr ON DELETE CASCADE, name TEXT NOT NULL,"
                "        description TEXT NOT NULL, format TEXT NOT NULL, size INTEGER NOT NULL, flags INTEGER NOT NULL,"
                "        snapshot_of TEXT, parent TEXT, created_usec INTEGER NOT NULL);"
                "CREATE INDEX vdi_sr ON vdi (sr);"
                "CREATE TABLE vdi_label (vdi TEXT NOT NULL REFERENCES vdi ON DELETE CASCADE, name TEXT NOT NULL, value TEXT NOT NULL,"
                "        PRIMARY KEY (vdi, name)) WITHOUT ROWID;"
                "CREATE TABLE data_path (vdi TEXT NOT NULL REFERENCES vdi ON DELETE CASCADE, reader TEXT NOT NULL, kind TEXT NOT NULL,"
                "        mode TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (vdi, reader)) WITHOUT ROWID;"
                "CREATE TABLE intent (uuid TEXT NOT NULL, sr TEXT NOT NULL REFERENCES sr ON DELETE CASCADE, kind TEXT NOT NULL,"
                "        format TEXT NOT NULL, frozen TEXT NOT NULL, clone TEXT NOT NULL, size INTEGER NOT NULL);"
                "CREATE INDEX intent_uuid ON intent (uuid);",
                "ALTER TABLE vdi ADD COLUMN iops_limit INTEGER NOT NULL DEFAULT 0;"
                "ALTER TABLE vdi ADD COLUMN rate_limit INTEGER NOT NULL DEFAULT 0;",
                "ALTER TABLE data_path ADD COLUMN keeper TEXT NOT NULL DEFAULT '';",
        },
        3,
};

/* Storage repositories */

int store_add_sr(const struct sr *sr, const char *pending) {
        struct database *db = sr->storage->db;
        int r;

        r = database_run(db, "INSERT INTO sr (uuid, name, description, driver, attached, pending) VALUES (?, ?, ?, ?, 0, ?)", "sssss",
                         sr->id, sr->name, sr->description, sr->driver->name, pending);
        for (size_t i = 0; r >= 0 && i < sr->n_config; i++)
                r = database_run(db, "INSERT INTO sr_config (sr, key, value) VALUES (?, ?, ?)", "sss", sr->id, sr->config[i].key,
                                 sr->config[i].value);
        return r;
}

int store_set_sr(const struct sr *sr) {
        return database_run(sr->storage->db, "UPDATE sr SET name = ?, description = ? WHERE uuid = ?", "sss", sr->name, sr->description,
                            sr->id);
}

int store_set_sr_attached(const struct sr *sr, bool attached) {
        return database_run(sr->storage->db, "UPDATE sr SET attached = ? WHERE uuid = ?", "is", (int) attached, sr->id);
}

int store_set_sr_pending(const struct sr *sr, const char *pending) {
        return database_run(sr->storage->db, "UPDATE sr SET pending = ? WHERE uuid = ?", "ss", pending, sr->id);
}

int store_remove_sr(const struct sr *sr) {
        return database_run(sr->storage->db, "DELETE FROM sr WHERE uuid = ?", "s", sr->id);
}

/* Disks */

static int flags_of(const struct vdi *vdi) {
        return (vdi->read_only ? FLAG_READ_ONLY : 0) | (vdi->sharable ? FLAG_SHARABLE : 0) | (vdi->snapshot ? FLAG_SNAPSHOT : 0) |
               (vdi->missing ? FLAG_MISSING : 0) | (vdi->hidden ? FLAG_HIDDEN : 0);
}

int store_add_vdi(const struct vdi *vdi) {
        char snapshot_of[UUID_TEXT_SIZE];
        int r;

        r = database_run(vdi->sr->storage->db,
                         "INSERT INTO vdi (uuid, sr, name, description, format, size, flags, snapshot_of, parent, created_usec)"
                         " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                         "sssssxissx", vdi->id, vdi->sr->id, vdi->name, vdi->description, xcp_vdi_format_to_string(vdi->format),
                         (int64_t) vdi->size, flags_of(vdi),
                         uuid_is_null(&vdi->snapshot_of) ? NULL : uuid_format(&vdi->snapshot_of, snapshot_of),
                         vdi->parent ? vdi->parent->id : NULL, (int64_t) vdi->created_usec);
        return r < 0 || vdi->n_labels == 0 ? r : store_set_labels(vdi);
}

int store_set_vdi(const struct vdi *vdi) {
        return database_run(vdi->sr->storage->db,
                            "UPDATE vdi SET name = ?, description = ?, size = ?, flags = ?, parent = ? WHERE uuid = ?", "ssxiss", vdi->name,
                            vdi->description, (int64_t) vdi->size, flags_of(vdi), vdi->parent ? vdi->parent->id : NULL, vdi->id);
}

int store_set_vdi_limits(const struct vdi *vdi) {
        return database_run(vdi->sr->storage->db, "UPDATE vdi SET iops_limit = ?, rate_limit = ? WHERE uuid = ?", "xxs",
                            (int64_t) vdi->iops_limit, (int64_t) vdi->rate_limit, vdi->id);
}

int store_set_labels(const struct vdi *vdi) {
        struct database *db = vdi->sr->storage->db;
        int r;

        r = database_run(db, "DELETE FROM vdi_label WHERE vdi = ?", "s", vdi->id);
        for (size_t i = 0; r >= 0 && i < vdi->n_labels; i++)
                r = database_run(db, "INSERT INTO vdi_label (vdi, name, value) VALUES (?, ?, ?)", "sss", vdi->id, vdi->labels[i].key,
                                 vdi->labels[i].value);
        return r;
}

int store_remove_vdi(const struct vdi *vdi) {
        return database_run(vdi->sr->storage->db, "DELETE FROM vdi WHERE uuid = ?", "s", vdi->id);
}

int store_set_data_path(const struct vdi *vdi, const struct data_path *path, const char *keeper) {
        return database_run(vdi->sr->storage->db,
                            "INSERT OR REPLACE INTO data_path (vdi, reader, kind, mode, state, keeper) VALUES (?, ?, ?, ?, ?, ?)", "ssssss", vdi->id,
                            path->reader, xcp_data_path_kind_to_string(path->kind), xcp_disk_mode_to_string(path->mode),
                            xcp_data_path_state_to_string(path->state), keeper);
}

int store_set_keeper(struct storage *storage, const char *vdi, const char *reader, const char *keeper) {
        return database_run(storage->db, "UPDATE data_path SET keeper = ? WHERE vdi = ? AND reader = ?", "sss", keeper, vdi, reader);
}

int store_remove_data_path(const struct vdi *vdi, const char *reader) {
        return database_run(vdi->sr->storage->db, "DELETE FROM data_path WHERE vdi = ? AND reader = ?", "ss", vdi->id, reader);
}

/* Intents */

int store_add_intent(const struct sr *sr, const struct intent *intent) {
        return database_run(sr->storage->db,
                            "INSERT INTO intent (uuid, sr, kind, format, frozen, clone, size) VALUES (?, ?, ?, ?, ?, ?, ?)", "ssssssx",
                            intent->id, sr->id, intent_names[intent->kind], xcp_vdi_format_to_string(intent->format), intent->frozen,
                            intent->clone, (int64_t) intent->size);
}

int store_remove_intent(struct storage *storage, const struct intent *intent) {
        return database_run(storage->db, "DELETE FROM intent WHERE uuid = ?", "s", intent->id);
}

static int intent_kind_from_name(const char *name, enum intent_kind *ret_kind) {
        for (enum intent_kind kind = 0; kind < _INTENT_KIND_N; kind++)
                if (name && strcmp(intent_names[kind], name) == 0) {
                        *ret_kind = kind;
                        return 0;
                }
        return -EUCLEAN;
}

static void copy_id(char *to, const char *from) {
        size_t n = strnlen(from ?: "", UUID_TEXT_SIZE - 1);

        memcpy(to, from ?: "", n);
        to[n] = '\0';
}

int store_intents(const struct sr *sr, struct idl_arena *arena, struct intent **ret_intents) {
        AUTO_ROWS struct database_rows *rows = NULL;
        struct intent *first = NULL, **last = &first;
        int r;

        r = database_query(sr->storage->db, &rows, "SELECT uuid, kind, format, frozen, clone, size FROM intent WHERE sr = ?", "s", sr->id);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                struct intent *intent = idl_arena_alloc(arena, 1, sizeof *intent);

                if (!intent)
                        return -errno;
                copy_id(intent->id, database_text(rows, 0));
                copy_id(intent->frozen, database_text(rows, 3));
                copy_id(intent->clone, database_text(rows, 4));
                r = intent_kind_from_name(database_text(rows, 1), &intent->kind);
                if (r >= 0)
                        r = xcp_vdi_format_from_string(database_text(rows, 2) ?: "", &intent->format);
                if (r < 0)
                        return r;
                intent->size = (uint64_t) database_integer(rows, 5);
                intent->found_size = UINT64_MAX;
                *last = intent;
                last = &intent->next;
        }
        if (r >= 0)
                *ret_intents = first;
        return r;
}

/* Loading */

static int load_config(struct sr *sr) {
        AUTO_ROWS struct database_rows *rows = NULL;
        struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_dict_s_s_entry *config = NULL;
        size_t n = 0, n_allocated = 0;
        int r;

        r = database_query(sr->storage->db, &rows, "SELECT key, value FROM sr_config WHERE sr = ?", "s", sr->id);
        while (r >= 0 && (r = database_next(rows)) > 0) {
                r = idl_arena_grow(&arena, (void **) &config, &n_allocated, n + 1, sizeof *config);
                if (r >= 0)
                        config[n++] = (struct xcp_dict_s_s_entry) {
                                idl_arena_strdup(&arena, database_text(rows, 0)),
                                idl_arena_strdup(&arena, database_text(rows, 1)),
                        };
                if (r >= 0 && (!config[n - 1].key || !config[n - 1].value))
                        r = -ENOMEM;
        }
        if (r >= 0)
                r = sr_set_config(sr, config, n);
        idl_arena_done(&arena);
        return r;
}

/* One that was attached is taken to be so until it is looked at; what is asked of it waits for that. */
static int load_sr(struct storage *storage, struct database_rows *rows) {
        const struct driver *driver = driver_find(database_text(rows, 3) ?: "");
        AUTO(sr_unrefp) struct sr *sr = NULL;
        const char *pending = database_text(rows, 5);
        int r;

        if (!driver)
                return -EUCLEAN;
        r = sr_new(&sr, storage, database_text(rows, 0) ?: "", database_text(rows, 1) ?: "", driver);
        if (r < 0)
                return r;
        free(sr->description);
        sr->description = strdup(database_text(rows, 2) ?: "");
        if (!sr->description)
                return -ENOMEM;
        r = load_config(sr);
        if (r < 0)
                return r;
        sr->state = database_integer(rows, 4) ? XCP_SR_STATE_ATTACHED : XCP_SR_STATE_DETACHED;
        sr->being_destroyed = pending && strcmp(pending, "destroy") == 0;
        sr->being_made = pending && strcmp(pending, "make") == 0;
        return sr_add(sr);
}

static int load_srs(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(storage->db, &rows, "SELECT uuid, name, description, driver, attached, pending FROM sr", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0)
                r = load_sr(storage, rows);
        return r;
}

static int fill_vdi(struct vdi *vdi, struct database_rows *rows) {
        int64_t flags = database_integer(rows, 6);
        const char *snapshot_of = database_text(rows, 7);

        if (xcp_vdi_format_from_string(database_text(rows, 4) ?: "", &vdi->format) < 0)
                return -EUCLEAN;
        vdi->size = (uint64_t) database_integer(rows, 5);
        vdi->read_only = flags & FLAG_READ_ONLY;
        vdi->sharable = flags & FLAG_SHARABLE;
        vdi->snapshot = flags & FLAG_SNAPSHOT;
        vdi->missing = flags & FLAG_MISSING;
        vdi->hidden = true;             /* until all is loaded */
        if (snapshot_of && uuid_parse(snapshot_of, &vdi->snapshot_of) < 0)
                return -EUCLEAN;
        vdi->created_usec = (uint64_t) database_integer(rows, 8);
        vdi->iops_limit = (uint64_t) database_integer(rows, 9);
        vdi->rate_limit = (uint64_t) database_integer(rows, 10);
        return 0;
}

static int load_vdi(struct storage *storage, struct database_rows *rows) {
        struct sr *sr = sr_find(storage, database_text(rows, 1) ?: "");
        AUTO(vdi_unrefp) struct vdi *vdi = NULL;
        struct uuid uuid;
        int r;

        if (!sr || uuid_parse(database_text(rows, 0) ?: "", &uuid) < 0)
                return -EUCLEAN;
        r = vdi_new(&vdi, sr, &uuid, database_text(rows, 2) ?: "", database_text(rows, 3) ?: "");
        if (r >= 0)
                r = fill_vdi(vdi, rows);
        return r < 0 ? r : vdi_add(vdi, NULL);
}

static int load_vdis(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(storage->db, &rows,
                           "SELECT uuid, sr, name, description, format, size, flags, snapshot_of, created_usec, iops_limit, rate_limit"
                           " FROM vdi", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0)
                r = load_vdi(storage, rows);
        return r;
}

static struct vdi *find_text(struct storage *storage, const char *text) {
        struct uuid uuid;

        return text && uuid_parse(text, &uuid) >= 0 ? vdi_find(storage, &uuid) : NULL;
}

static int load_parents(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(storage->db, &rows, "SELECT uuid, parent FROM vdi WHERE parent IS NOT NULL", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0) {
                struct vdi *vdi = find_text(storage, database_text(rows, 0)), *parent = find_text(storage, database_text(rows, 1));

                if (!vdi || !parent || parent->sr != vdi->sr)
                        return -EUCLEAN;
                vdi_set_parent(vdi, parent);
        }
        return r;
}

static int set_depth(struct vdi *vdi) {
        unsigned depth = 0;

        for (const struct vdi *parent = vdi; parent; parent = parent->parent)
                if (++depth > VDIS_PER_SR_MAX)
                        return -EUCLEAN;        /* a circle */
        vdi->depth = depth;
        return 0;
}

static int load_labels(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        struct vdi *last = NULL;
        int r;

        r = database_query(storage->db, &rows, "SELECT vdi, name, value FROM vdi_label ORDER BY vdi", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0) {
                struct vdi *vdi = find_text(storage, database_text(rows, 0));
                struct xcp_dict_s_s_entry labels[65];

                if (!vdi || (vdi == last && vdi->n_labels >= 64))
                        return -EUCLEAN;
                for (size_t i = 0; i < vdi->n_labels; i++)
                        labels[i] = vdi->labels[i];
                labels[vdi->n_labels] = (struct xcp_dict_s_s_entry) { database_text(rows, 1) ?: "", database_text(rows, 2) ?: "" };
                r = vdi_set_labels(vdi, labels, vdi->n_labels + 1);
                last = vdi;
        }
        return r;
}

static int load_data_paths(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(storage->db, &rows, "SELECT vdi, reader, kind, mode, state, keeper FROM data_path", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0) {
                struct vdi *vdi = find_text(storage, database_text(rows, 0));
                enum xcp_data_path_state state;
                enum xcp_data_path_kind kind;
                enum xcp_disk_mode mode;

                if (!vdi || xcp_data_path_kind_from_string(database_text(rows, 2) ?: "", &kind) < 0 ||
                    xcp_disk_mode_from_string(database_text(rows, 3) ?: "", &mode) < 0 ||
                    xcp_data_path_state_from_string(database_text(rows, 4) ?: "", &state) < 0)
                        return -EUCLEAN;
                r = data_paths_restore(&vdi->paths, database_text(rows, 1) ?: "", kind, mode, state);
                vdi->sr->n_data_paths++;
                if (r >= 0 && *(database_text(rows, 5) ?: ""))
                        r = servers_left_one(vdi, &vdi->paths.items[vdi->paths.n - 1], database_text(rows, 5));
        }
        return r;
}

/* What can be said of disks only when all of them are there. */
static int count(struct storage *storage) {
        int r = 0;

        for (struct sr *sr = storage->srs; sr; sr = sr->next)
                for (struct vdi *vdi = sr->first; vdi; vdi = vdi->next)
                        vdi->n_snapshots = 0;
        for (struct sr *sr = storage->srs; sr; sr = sr->next)
                for (struct vdi *vdi = sr->first; r >= 0 && vdi; vdi = vdi->next) {
                        r = set_depth(vdi);
                        if (vdi_original(vdi))
                                vdi_original(vdi)->n_snapshots++;
                }
        return r;
}

/* Objects appear when they are whole. */
static int show(struct storage *storage) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r = 0;

        for (struct sr *sr = storage->srs; r >= 0 && sr; sr = sr->next)
                r = sr->being_made ? 0 : sr_show(sr);
        if (r < 0)
                return r;
        r = database_query(storage->db, &rows, "SELECT uuid FROM vdi WHERE (flags & 16) = 0", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0) {
                struct vdi *vdi = find_text(storage, database_text(rows, 0));

                r = vdi ? vdi_show(vdi) : -EUCLEAN;
        }
        return r;
}

int store_load(struct storage *storage) {
        int (*const steps[])(struct storage *) = { load_srs, load_vdis, load_parents, load_labels, load_data_paths, count, show };
        int r;

        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
                r = steps[i](storage);
                if (r < 0) {
                        log_event(LOG_ERR, LOG_FIELDS({ "XCP_DATABASE", database_path(storage->db) }), "Cannot load %s: %s",
                                  database_path(storage->db), r == -EUCLEAN ? "what it says cannot be" : strerrordesc_np(-r));
                        return r;
                }
        }
        return 0;
}
