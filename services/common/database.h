/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Databases: where a service keeps what has to survive it. SQLite, one file, one user at a time, with a schema that has versions.
 *
 * The schema is a list of steps, each the SQL that leads from one version to the next. A new file takes all of them, an older one
 * those it has not had, each in a transaction of its own; a file from a newer program is refused and not touched. A step that was
 * released is never changed again: what is to be different goes into a new one.
 *
 * Statements are written where they are used, with the types of the values beside the values:
 *
 *         r = database_run(db, "INSERT INTO vdi (name, size) VALUES (?, ?)", "sx", name, size);
 *
 *         AUTO_ROWS struct database_rows *rows = NULL;
 *         r = database_query(db, &rows, "SELECT name FROM vdi WHERE size > ?", "x", min);
 *         while ((r = database_next(rows)) > 0)
 *                 puts(database_text(rows, 0));
 *
 * Types: s string (NULL is NULL), x int64_t, i int, d double, b blob (const void *, size_t). SQL has to be a string literal: statements
 * are prepared once and kept.
 *
 * Failures are negative errnos: -ENOSPC (disk full), -EROFS, -EACCES, -EEXIST (a UNIQUE constraint), -EINVAL (any other constraint),
 * -EBUSY (in use by another process), -EUCLEAN (damaged, or no database at all), -EPROTONOSUPPORT (newer schema), -ENOMEM, -EIO.
 * database_why() has the sentence. A statement that fails changes nothing; a transaction that is not committed neither.
 */

#include <stddef.h>
#include <stdint.h>

/*
 * What a commit survives. Both use a write-ahead log (WAL), in which a commit is one append, and a reader never finds half of it.
 * Power loss never damages a database; the question is only whether the last commits may be missing afterwards.
 */
enum database_durability {
        DATABASE_DURABLE,               /* power loss (synchronous=FULL: every commit waits for the disk): what was promised to a client */
        DATABASE_CRASH_SAFE,            /* the end of the process (synchronous=NORMAL: no commit waits): what power loss ends anyway */
};

struct database_schema {
        const char *const *steps;       /* step i leads from version i to version i + 1; may hold several statements */
        size_t n_steps;
};

struct database;
struct database_rows;

/* Opens or creates a database. Tells the log why, if it fails. */
int database_open(struct database **ret_db, const char *path, enum database_durability durability, const struct database_schema *schema);
struct database *database_close(struct database *db);

/* Why the last statement failed, as a sentence that names the file. */
const char *database_why(struct database *db);
const char *database_path(struct database *db);

/* Runs a statement that gives no rows. */
int database_run(struct database *db, const char *sql, const char *types, ...);

/* The rows of a statement. database_next() steps to the first and to each further one: 1 if there is one, 0 after the last. */
int database_query(struct database *db, struct database_rows **ret_rows, const char *sql, const char *types, ...);
int database_next(struct database_rows *rows);
struct database_rows *database_rows_free(struct database_rows *rows);

/* Columns of the row, valid until the next step. A column that is NULL is 0, or NULL; so is text when memory has run out. */
int64_t database_integer(struct database_rows *rows, int column);
double database_double(struct database_rows *rows, int column);
const char *database_text(struct database_rows *rows, int column);
const void *database_blob(struct database_rows *rows, int column, size_t *ret_size);

int64_t database_last_id(struct database *db);
int64_t database_n_changed(struct database *db);

/*
 * Transactions: all or nothing.
 *
 *         AUTO_ROLLBACK struct database *transaction = NULL;
 *         r = database_begin(db, &transaction);
 *         ...
 *         return database_commit(&transaction);           whatever returns before this undoes everything
 *
 * They do not nest, and end in the callback in which they began.
 */
int database_begin(struct database *db, struct database **ret_transaction);
int database_commit(struct database **transaction);
void database_rollback(struct database **transaction);

/*
 * A copy of all that is committed, as the bytes of a database file, by SQLite's backup API; nothing in this process may change it meanwhile.
 * For database_copy_free(). -E2BIG: it would be larger than max bytes.
 */
int database_copy(struct database *db, size_t max, uint8_t **ret_data, size_t *ret_size);
void database_copy_free(uint8_t *data);

/* Has the file itself on the disk, as when it was not SQLite that has written it. */
int database_sync(struct database *db);

static inline void database_closep(struct database **db) {
        database_close(*db);
}

static inline void database_rows_freep(struct database_rows **rows) {
        database_rows_free(*rows);
}

#define AUTO_DATABASE __attribute__((cleanup(database_closep)))
#define AUTO_ROWS __attribute__((cleanup(database_rows_freep)))
#define AUTO_ROLLBACK __attribute__((cleanup(database_rollback)))
