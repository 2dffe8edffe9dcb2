/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "task-store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "cleanup.h"
#include "database-error.h"
#include "database.h"
#include "idl-errors.h"
#include "log.h"
#include "message-blob.h"
#include "variant.h"

#define AUTO_MESSAGE AUTO(sd_bus_message_unrefp) sd_bus_message

static const struct database_schema schema = {
        (const char *const[]) {
                /* AUTOINCREMENT: an id that was deleted is not given out again (sqlite.org/autoinc.html). */
                "CREATE TABLE task ("
                "  id INTEGER PRIMARY KEY AUTOINCREMENT, bus TEXT NOT NULL, caller TEXT NOT NULL, operation TEXT NOT NULL,"
                "  object TEXT NOT NULL, description TEXT NOT NULL, instance TEXT NOT NULL,"
                "  begun INTEGER NOT NULL, ended INTEGER, state TEXT NOT NULL, result BLOB,"
                "  error_name TEXT, error_message TEXT, error_details BLOB);",
        },
        1,
};

enum column { ID, CALLER, OPERATION, OBJECT, DESCRIPTION, INSTANCE, BEGUN, ENDED, STATE, RESULT, ERROR_NAME, ERROR_MESSAGE, ERROR_DETAILS };

static const char select_tasks[] =
        "SELECT id, caller, operation, object, description, instance, begun, ended, state, result, "
        "error_name, error_message, error_details FROM task WHERE bus = ? ORDER BY id";

struct task_store {
        struct database *db;
        char *instance;
        struct idl_arena names;         /* of errors that were loaded: those of others are literals */
};

int task_store_open(struct task_store **ret_store, const char *dir, const char *instance) {
        AUTO(task_store_closep) struct task_store *store = NULL;
        AUTO_FREE char *path = NULL;
        int r;

        if (asprintf(&path, "%s/tasks.db", dir) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        store = calloc(1, sizeof *store);
        if (!store)
                return -ENOMEM;
        store->instance = strdup(instance);
        if (!store->instance)
                return -ENOMEM;
        r = database_open(&store->db, path, DATABASE_CRASH_SAFE, &schema);
        if (r < 0)
                return r;
        *ret_store = store;
        store = NULL;
        return 0;
}

struct task_store *task_store_close(struct task_store *store) {
        if (!store)
                return NULL;
        database_close(store->db);
        idl_arena_done(&store->names);
        free(store->instance);
        free(store);
        return NULL;
}

int task_store_set_error(struct task_store *store, int r, struct idl_error *error) {
        return database_set_error(store->db, r, error);
}

int task_store_add(struct task_store *store, const char *bus_id, const struct task_origin *origin, uint64_t now_usec,
                   uint64_t *ret_id) {
        int r;

        r = database_run(store->db,
                         "INSERT INTO task (bus, caller, operation, object, description, instance, begun, state) "
                         "VALUES (?, ?, ?, ?, ?, ?, ?, 'Waiting')",
                         "ssssssx", bus_id, origin->caller, origin->operation, origin->object, origin->description, store->instance,
                         (int64_t) now_usec);
        if (r < 0)
                return r;
        *ret_id = (uint64_t) database_last_id(store->db);
        return 0;
}

static int append_details(sd_bus_message *message, const struct idl_error *error) {
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < error->n_details; i++) {
                struct idl_variant value = idl_error_detail_variant(&error->details[i]);

                r = sd_bus_message_open_container(message, 'e', "sv");
                if (r >= 0)
                        r = sd_bus_message_append_basic(message, 's', error->details[i].name);
                if (r >= 0)
                        r = idl_variant_append(message, &value);
                if (r >= 0)
                        r = sd_bus_message_close_container(message);
        }
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int details_blob(sd_bus *bus, const struct idl_error *error, void **ret_data, size_t *ret_size) {
        AUTO_MESSAGE *message = NULL;
        int r;

        r = sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL);
        if (r < 0)
                return r;
        r = append_details(message, error);
        if (r < 0)
                return r;
        r = sd_bus_message_seal(message, 1, 0);
        if (r < 0)
                return r;
        return message_blob_write(message, ret_data, ret_size);
}

int task_store_update(struct task_store *store, sd_bus *bus, const struct task *task) {
        AUTO_FREE void *result = NULL, *details = NULL;
        size_t n_result = 0, n_details = 0;
        int r;

        if (task->result) {
                r = message_blob_write(task->result, &result, &n_result);
                if (r < 0)
                        return r;
        }
        if (task->error.name) {
                r = details_blob(bus, &task->error, &details, &n_details);
                if (r < 0)
                        return r;
        }
        return database_run(store->db,
                            "UPDATE task SET state = ?, ended = ?, result = ?, error_name = ?, error_message = ?, error_details = ? "
                            "WHERE id = ?",
                            "sxbssbx", task_state_name(task->state), (int64_t) task->ended_usec, result, n_result, task->error.name,
                            task->error.message, details, n_details, (int64_t) task->id);
}

int task_store_take_over(struct task_store *store, const char *from_bus_id, const char *bus_id) {
        return database_run(store->db, "UPDATE task SET bus = ?, caller = '' WHERE bus = ?", "ss", bus_id, from_bus_id);
}

int task_store_copy(struct task_store *store, size_t max, uint8_t **ret_data, size_t *ret_size) {
        return database_copy(store->db, max, ret_data, ret_size);
}

int task_store_sync(struct task_store *store) {
        return database_sync(store->db);
}

int task_store_remove(struct task_store *store, uint64_t id) {
        return database_run(store->db, "DELETE FROM task WHERE id = ?", "x", (int64_t) id);
}

/* Loading */

static int read_detail(struct task_store *store, sd_bus_message *message, struct idl_error *error) {
        struct idl_error_detail *detail = &error->details[error->n_details];
        const char *name, *contents;
        int b, r;

        r = sd_bus_message_read_basic(message, 's', &name);
        if (r < 0)
                return r;
        r = sd_bus_message_peek_type(message, NULL, &contents);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(message, 'v', contents);
        if (r < 0)
                return r;

        *detail = (struct idl_error_detail) { .name = idl_arena_strdup(&store->names, name), .type = *contents };
        if (!detail->name)
                return -ENOMEM;
        if (*contents == 's' || *contents == 'o') {
                const char *s;

                r = sd_bus_message_read_basic(message, *contents, &s);
                if (r >= 0 && !(detail->s = strdup(s)))
                        r = -ENOMEM;
        } else if (*contents == 'b') {
                r = sd_bus_message_read_basic(message, 'b', &b);
                detail->b = r >= 0 && b;
        } else if (*contents == 'i') {
                int32_t i = 0;

                r = sd_bus_message_read_basic(message, 'i', &i);
                detail->x = i;
        } else {
                r = sd_bus_message_read_basic(message, *contents, &detail->t);      /* t, u, x, d: from the union's beginning */
        }
        if (r < 0)
                return r;
        error->n_details++;
        return sd_bus_message_exit_container(message);
}

/* A message with that in it, to be read. */
static int read_blob(sd_bus *bus, const void *data, size_t size, sd_bus_message **ret_message) {
        AUTO_MESSAGE *message = NULL;
        int r;

        r = sd_bus_message_new(bus, &message, SD_BUS_MESSAGE_METHOD_CALL);
        if (r < 0)
                return r;
        r = message_blob_read(message, data, size);
        if (r < 0)
                return r;
        r = sd_bus_message_seal(message, 1, 0);
        if (r < 0)
                return r;
        *ret_message = message;
        message = NULL;
        return 0;
}

static int read_details(struct task_store *store, sd_bus *bus, const void *data, size_t size, struct idl_error *error) {
        AUTO_MESSAGE *message = NULL;
        int r;

        r = read_blob(bus, data, size, &message);
        if (r < 0)
                return r;
        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while (error->n_details < IDL_ERROR_DETAILS_MAX && (r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = read_detail(store, message, error);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : 0;
}

static int load_error(struct task_store *store, sd_bus *bus, struct database_rows *rows, struct idl_error *error) {
        const void *details;
        size_t size;

        error->name = idl_arena_strdup(&store->names, database_text(rows, ERROR_NAME));
        error->message = strdup(database_text(rows, ERROR_MESSAGE) ?: "");
        error->number = EIO;
        if (!error->name || !error->message)
                return -ENOMEM;
        details = database_blob(rows, ERROR_DETAILS, &size);
        return size > 0 ? read_details(store, bus, details, size, error) : 0;
}

static int load_result(sd_bus *bus, struct database_rows *rows, struct task *task) {
        const void *data;
        size_t size;

        data = database_blob(rows, RESULT, &size);
        return size > 0 ? read_blob(bus, data, size, &task->result) : 0;
}

/* 1 if it had not ended, and was made to. */
static int load_end(struct task_store *store, sd_bus *bus, struct database_rows *rows, uint64_t now_usec, struct task *task) {
        const char *name = database_text(rows, STATE);
        enum task_state state;
        int r;

        if (!name || task_state_from_name(name, &state) < 0)
                return -EBADMSG;
        if (state < TASK_SUCCEEDED) {
                AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

                idl_error_set_interrupted(&error, task->description, database_text(rows, INSTANCE));
                r = task_fail(task, &error, now_usec);
                return r < 0 ? r : 1;
        }
        task->state = state;
        task->ended_usec = (uint64_t) database_integer(rows, ENDED);
        task->progress = task->told = state == TASK_SUCCEEDED ? 1 : 0;
        return state == TASK_SUCCEEDED ? load_result(bus, rows, task) : load_error(store, bus, rows, &task->error);
}

static int load_task(struct task_store *store, sd_bus *bus, struct database_rows *rows, uint64_t now_usec, struct task_list *list) {
        const struct task_origin origin = { database_text(rows, OPERATION), database_text(rows, OBJECT), database_text(rows, DESCRIPTION),
                                            database_text(rows, CALLER) };
        AUTO_TASK struct task *task = NULL;
        int ended, r;

        r = task_new(&task, (uint64_t) database_integer(rows, ID), &origin, (uint64_t) database_integer(rows, BEGUN));
        if (r < 0)
                return r;
        ended = load_end(store, bus, rows, now_usec, task);
        if (ended < 0)
                return ended;
        if (ended > 0) {
                r = task_store_update(store, bus, task);
                if (r < 0)
                        return r;
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_CALLER", task->caller }, { "XCP_INSTANCE", database_text(rows, INSTANCE) }),
                          "Task %llu, %s, was interrupted by a restart", (unsigned long long) task->id, task->description);
        }
        r = task_list_add(list, task);
        if (r < 0)
                return r;
        task = NULL;
        return 0;
}

int task_store_load(struct task_store *store, sd_bus *bus, const char *bus_id, uint64_t now_usec, struct task_list *list) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_run(store->db, "DELETE FROM task WHERE bus <> ?", "s", bus_id);
        if (r < 0)
                return r;
        r = database_query(store->db, &rows, select_tasks, "s", bus_id);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                r = load_task(store, bus, rows, now_usec, list);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        log_event(LOG_ERR, NULL, "A task of an earlier instance cannot be read and is dropped: %s", strerrordesc_np(-r));
                        task_store_remove(store, (uint64_t) database_integer(rows, ID));
                }
        }
        return r;
}
