/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "database.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <sqlite3.h>

#include "cleanup.h"
#include "log.h"

#define STATEMENTS_MAX 64u              /* kept ones; more than any service has, and when not, others are prepared each time */
#define WHY_MAX 512u

#define HEADER_SIZE 100                 /* sqlite.org/fileformat2.html, "The Database Header" */
#define HEADER_WRITE_VERSION 18
#define HEADER_READ_VERSION 19
#define HEADER_WAL 2

struct database {
        sqlite3 *sqlite;
        char *path;
        char why[WHY_MAX];
        sqlite3_stmt *statements[STATEMENTS_MAX];
        size_t n_statements;
};

struct database_rows {
        struct database *db;
        sqlite3_stmt *statement;
        bool kept;                      /* belongs to the database, which wants it back */
};

static int sqlite_errno(struct database *db, int code) {
        switch (code & 0xff) {          /* the primary result code, sqlite.org/rescode.html */
        case SQLITE_OK:
        case SQLITE_ROW:
        case SQLITE_DONE:
                return 0;
        case SQLITE_FULL:
                return -ENOSPC;
        case SQLITE_READONLY:
                return -EROFS;
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
                return -EUCLEAN;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return -EBUSY;
        case SQLITE_NOMEM:
                return -ENOMEM;
        case SQLITE_PERM:
        case SQLITE_AUTH:
                return -EACCES;
        case SQLITE_CONSTRAINT:
                return code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ? -EEXIST : -EINVAL;
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR: {
                int e = db->sqlite ? sqlite3_system_errno(db->sqlite) : 0;

                return e > 0 ? -e : -EIO;
        }
        default:
                return -EIO;
        }
}

/* Keeps the reason, and gives the errno. */
static int fail(struct database *db, int code) {
        int r = sqlite_errno(db, code);
        const char *text = db->sqlite ? sqlite3_errmsg(db->sqlite) : sqlite3_errstr(code);

        if (r == -EBUSY)
                text = "in use by another process";
        snprintf(db->why, sizeof db->why, "%s: %s (%s)", db->path, text, strerrordesc_np(-r) ?: "?");
        return r;
}

const char *database_why(struct database *db) {
        return db->why;
}

const char *database_path(struct database *db) {
        return db->path;
}

/* Statements */

static sqlite3_stmt *find_idle(struct database *db, const char *sql) {
        for (size_t i = 0; i < db->n_statements; i++)
                if (strcmp(sqlite3_sql(db->statements[i]), sql) == 0)
                        return sqlite3_stmt_busy(db->statements[i]) ? NULL : db->statements[i];
        return NULL;
}

static bool is_known(const struct database *db, const char *sql) {
        for (size_t i = 0; i < db->n_statements; i++)
                if (strcmp(sqlite3_sql(db->statements[i]), sql) == 0)
                        return true;
        return false;
}

/* A statement that is not in use. One that runs already, in a caller further up, gets a second of its own. */
static int prepare(struct database *db, const char *sql, sqlite3_stmt **ret_statement, bool *ret_kept) {
        sqlite3_stmt *statement = find_idle(db, sql);
        int code;

        if (statement) {
                *ret_statement = statement;
                *ret_kept = true;
                return 0;
        }

        code = sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
        if (code != SQLITE_OK)
                return fail(db, code);

        *ret_kept = db->n_statements < STATEMENTS_MAX && !is_known(db, sql);
        if (*ret_kept)
                db->statements[db->n_statements++] = statement;
        *ret_statement = statement;
        return 0;
}

static void release(sqlite3_stmt *statement, bool kept) {
        if (kept) {
                sqlite3_reset(statement);
                sqlite3_clear_bindings(statement);      /* they may point to what the caller is about to free */
        } else
                sqlite3_finalize(statement);
}

static int bind_one(sqlite3_stmt *statement, int i, char type, va_list *values) {
        const void *blob;

        switch (type) {
        case 's':
                return sqlite3_bind_text(statement, i, va_arg(*values, const char *), -1, SQLITE_TRANSIENT);
        case 'x':
                return sqlite3_bind_int64(statement, i, va_arg(*values, int64_t));
        case 'i':
                return sqlite3_bind_int(statement, i, va_arg(*values, int));
        case 'd':
                return sqlite3_bind_double(statement, i, va_arg(*values, double));
        case 'b':
                blob = va_arg(*values, const void *);
                return sqlite3_bind_blob64(statement, i, blob, va_arg(*values, size_t), SQLITE_TRANSIENT);
        default:
                assert(!"a type that database.h does not have");
                return SQLITE_MISUSE;
        }
}

static int prepare_and_bind(struct database *db, const char *sql, const char *types, va_list *values, sqlite3_stmt **ret_statement,
                            bool *ret_kept) {
        sqlite3_stmt *statement = NULL;
        bool kept = false;
        int r;

        r = prepare(db, sql, &statement, &kept);
        if (r < 0)
                return r;
        for (int i = 0; types && types[i]; i++) {
                int code = bind_one(statement, i + 1, types[i], values);

                if (code != SQLITE_OK) {
                        r = fail(db, code);
                        release(statement, kept);
                        return r;
                }
        }
        *ret_statement = statement;
        *ret_kept = kept;
        return 0;
}

int database_run(struct database *db, const char *sql, const char *types, ...) {
        sqlite3_stmt *statement = NULL;
        va_list values;
        bool kept = false;
        int code, r;

        va_start(values, types);
        r = prepare_and_bind(db, sql, types, &values, &statement, &kept);
        va_end(values);
        if (r < 0)
                return r;

        do
                code = sqlite3_step(statement);
        while (code == SQLITE_ROW);     /* a pragma's answer */
        r = code == SQLITE_DONE ? 0 : fail(db, code);
        release(statement, kept);
        return r;
}

int database_query(struct database *db, struct database_rows **ret_rows, const char *sql, const char *types, ...) {
        struct database_rows *rows;
        va_list values;
        int r;

        rows = malloc(sizeof *rows);
        if (!rows)
                return -ENOMEM;
        rows->db = db;

        va_start(values, types);
        r = prepare_and_bind(db, sql, types, &values, &rows->statement, &rows->kept);
        va_end(values);
        if (r < 0) {
                free(rows);
                return r;
        }
        *ret_rows = rows;
        return 0;
}

int database_next(struct database_rows *rows) {
        int code = sqlite3_step(rows->statement);

        if (code == SQLITE_ROW)
                return 1;
        return code == SQLITE_DONE ? 0 : fail(rows->db, code);
}

struct database_rows *database_rows_free(struct database_rows *rows) {
        if (rows)
                release(rows->statement, rows->kept);
        free(rows);
        return NULL;
}

int64_t database_integer(struct database_rows *rows, int column) {
        return sqlite3_column_int64(rows->statement, column);
}

double database_double(struct database_rows *rows, int column) {
        return sqlite3_column_double(rows->statement, column);
}

const char *database_text(struct database_rows *rows, int column) {
        return (const char *) sqlite3_column_text(rows->statement, column);
}

const void *database_blob(struct database_rows *rows, int column, size_t *ret_size) {
        const void *blob = sqlite3_column_blob(rows->statement, column);

        *ret_size = (size_t) sqlite3_column_bytes(rows->statement, column);
        return blob;
}

int64_t database_last_id(struct database *db) {
        return sqlite3_last_insert_rowid(db->sqlite);
}

int64_t database_n_changed(struct database *db) {
        return sqlite3_changes(db->sqlite);
}

/* Transactions */

int database_begin(struct database *db, struct database **ret_transaction) {
        int r;

        assert(sqlite3_get_autocommit(db->sqlite));

        r = database_run(db, "BEGIN IMMEDIATE", NULL);
        if (r < 0)
                return r;
        *ret_transaction = db;
        return 0;
}

int database_commit(struct database **transaction) {
        int r;

        r = database_run(*transaction, "COMMIT", NULL);
        if (r < 0)
                return r;               /* still open, or undone by SQLite itself: rollback sorts that out */
        *transaction = NULL;
        return 0;
}

void database_rollback(struct database **transaction) {
        char why[WHY_MAX];

        if (!*transaction)
                return;
        /* Some failures, such as a full disk, have undone the transaction already (sqlite.org/lang_transaction.html). */
        memcpy(why, (*transaction)->why, sizeof why);
        if (!sqlite3_get_autocommit((*transaction)->sqlite))
                database_run(*transaction, "ROLLBACK", NULL);
        memcpy((*transaction)->why, why, sizeof why);
        *transaction = NULL;
}

/* Copies */

static int backup(struct database *db, sqlite3 *memory) {
        sqlite3_backup *backup = sqlite3_backup_init(memory, "main", db->sqlite, "main");
        int code;

        if (!backup)
                return -ENOMEM;
        code = sqlite3_backup_step(backup, -1);
        code = sqlite3_backup_finish(backup) == SQLITE_OK && code == SQLITE_DONE ? SQLITE_OK : code;
        return code == SQLITE_OK ? 0 : fail(db, code);
}

int database_copy(struct database *db, size_t max, uint8_t **ret_data, size_t *ret_size) {
        sqlite3 *memory = NULL;
        sqlite3_int64 size = 0;
        uint8_t *data = NULL;
        int r = -ENOMEM;

        if (sqlite3_open_v2(":memory:", &memory, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
                r = backup(db, memory);
        if (r >= 0) {
                data = sqlite3_serialize(memory, "main", &size, 0);
                r = !data ? -ENOMEM : (uint64_t) size > max ? -E2BIG : 0;
        }
        sqlite3_close(memory);
        if (r < 0) {
                sqlite3_free(data);
                return r;
        }
        /* Memory knows no WAL. The file that this becomes does from the start: else it would be changed, with several fsync()s, when it is opened. */
        if (size >= HEADER_SIZE)
                data[HEADER_WRITE_VERSION] = data[HEADER_READ_VERSION] = HEADER_WAL;
        *ret_data = data;
        *ret_size = (size_t) size;
        return 0;
}

void database_copy_free(uint8_t *data) {
        sqlite3_free(data);
}

/* By SQLite's own descriptor: to close another one would give up the locks of this process (sqlite.org/howtocorrupt.html, 2.2). */
int database_sync(struct database *db) {
        sqlite3_file *file = NULL;
        int code = sqlite3_file_control(db->sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file);

        if (code == SQLITE_OK)
                code = file && file->pMethods ? file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) : SQLITE_MISUSE;
        return code == SQLITE_OK ? 0 : fail(db, code);
}

/* Opening */

static int exec(struct database *db, const char *sql) {
        int code = sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL);

        return code == SQLITE_OK ? 0 : fail(db, code);
}

static int read_version(struct database *db, int64_t *ret_version) {
        AUTO_ROWS struct database_rows *rows = NULL;
        int r;

        r = database_query(db, &rows, "PRAGMA user_version", NULL);
        if (r < 0)
                return r;
        r = database_next(rows);
        if (r < 0)
                return r;
        *ret_version = r > 0 ? database_integer(rows, 0) : 0;
        return 0;
}

static int take_step(struct database *db, const struct database_schema *schema, size_t version) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        char pragma[64];
        int r;

        r = database_begin(db, &transaction);
        if (r < 0)
                return r;
        r = exec(db, schema->steps[version]);
        if (r < 0)
                return r;
        snprintf(pragma, sizeof pragma, "PRAGMA user_version = %zu", version + 1);      /* takes no parameters */
        r = exec(db, pragma);
        if (r < 0)
                return r;
        return database_commit(&transaction);
}

static int check_version(struct database *db, int64_t version, size_t n_known) {
        if (version >= 0 && (uint64_t) version <= n_known)
                return 0;
        snprintf(db->why, sizeof db->why, "%s: has schema version %lld, and this program knows versions up to %zu; use a newer program",
                 db->path, (long long) version, n_known);
        return -EPROTONOSUPPORT;
}

/*
 * The order matters: exclusive locking comes first, because WAL then needs no memory shared with other processes (sqlite.org/wal.html,
 * "Use of WAL Without Shared-Memory"), and takes the lock that keeps a second instance of the service out until this one ends,
 * however it ends. The version is looked at before anything is written, so that a newer program's file stays as it is.
 */
static int configure(struct database *db, enum database_durability durability, const struct database_schema *schema) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int64_t version = 0;
        int r;

        r = exec(db, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF");
        if (r < 0)
                return r;
        r = read_version(db, &version);
        if (r < 0)
                return r;
        r = check_version(db, version, schema->n_steps);
        if (r < 0)
                return r;
        r = exec(db, durability == DATABASE_DURABLE ? "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL"
                                                    : "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
        if (r < 0)
                return r;
        r = database_begin(db, &transaction);           /* takes the lock, and finds out that nothing can be written */
        if (r < 0)
                return r;
        r = database_commit(&transaction);
        for (size_t i = (size_t) version; r >= 0 && i < schema->n_steps; i++)
                r = take_step(db, schema, i);
        return r;
}

int database_open(struct database **ret_db, const char *path, enum database_durability durability, const struct database_schema *schema) {
        AUTO_DATABASE struct database *db = NULL;
        int code, r;

        db = calloc(1, sizeof *db);
        if (!db)
                return -ENOMEM;
        db->path = strdup(path);
        if (!db->path)
                return -ENOMEM;

        code = sqlite3_open_v2(path, &db->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
                               NULL);
        r = code == SQLITE_OK ? configure(db, durability, schema) : fail(db, code);
        if (r < 0) {
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_DATABASE", path }), "Cannot open the database %s", db->why);
                return r;
        }
        *ret_db = db;
        db = NULL;
        return 0;
}

struct database *database_close(struct database *db) {
        if (!db)
                return NULL;
        for (size_t i = 0; i < db->n_statements; i++)
                sqlite3_finalize(db->statements[i]);
        sqlite3_close(db->sqlite);
        free(db->path);
        free(db);
        return NULL;
}
