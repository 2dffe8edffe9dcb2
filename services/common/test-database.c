/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Databases: versions, transactions, and what each failure is called. */

#include <errno.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "database.h"
#include "log.h"

#define STEP_1 "CREATE TABLE thing (name TEXT PRIMARY KEY, size INTEGER NOT NULL CHECK (size >= 0), weight REAL, data BLOB);"
#define STEP_2 "ALTER TABLE thing ADD COLUMN colour TEXT DEFAULT 'grey'; CREATE INDEX thing_size ON thing (size);"

static const struct database_schema version_1 = { (const char *const[]) { STEP_1 }, 1 };
static const struct database_schema version_2 = { (const char *const[]) { STEP_1, STEP_2 }, 2 };
static const struct database_schema broken_2 = { (const char *const[]) { STEP_1, "CREATE TABLE other (x); CREATE TABLE thing (y)" }, 2 };

struct fixture {
        char *directory, *path;
        struct database *db;
};

static void set_up(struct fixture *f, gconstpointer data) {
        f->directory = g_dir_make_tmp("xcp-database-XXXXXX", NULL);
        g_assert_nonnull(f->directory);
        f->path = g_build_filename(f->directory, "a.db", NULL);
        g_assert_cmpint(database_open(&f->db, f->path, DATABASE_DURABLE, &version_1), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->directory);

        database_close(f->db);
        g_assert_cmpint(system(command), ==, 0);
        g_free(f->directory);
        g_free(f->path);
}

static int insert(struct database *db, const char *name, int64_t size) {
        return database_run(db, "INSERT INTO thing (name, size) VALUES (?, ?)", "sx", name, size);
}

static int64_t count(struct database *db) {
        AUTO_ROWS struct database_rows *rows = NULL;

        g_assert_cmpint(database_query(db, &rows, "SELECT COUNT(*) FROM thing", NULL), ==, 0);
        g_assert_cmpint(database_next(rows), ==, 1);
        return database_integer(rows, 0);
}

static int reopen(struct fixture *f, const struct database_schema *schema) {
        f->db = database_close(f->db);
        return database_open(&f->db, f->path, DATABASE_DURABLE, schema);
}

static void test_values(struct fixture *f, gconstpointer data) {
        AUTO_ROWS struct database_rows *rows = NULL;
        const uint8_t bytes[] = { 0, 1, 255 };
        const void *blob;
        size_t n;

        g_assert_cmpint(database_run(f->db, "INSERT INTO thing (name, size, weight, data) VALUES (?, ?, ?, ?)", "sxdb",
                                     "d\xc3\xa9j\xc3\xa0",
                                     INT64_MAX, 0.5, bytes, sizeof bytes),
                        ==, 0);
        g_assert_cmpint(database_n_changed(f->db), ==, 1);
        g_assert_cmpint(insert(f->db, "none", 0), ==, 0);

        g_assert_cmpint(database_query(f->db, &rows, "SELECT name, size, weight, data FROM thing ORDER BY size DESC LIMIT ?", "i", 2),
                        ==, 0);
        g_assert_cmpint(database_next(rows), ==, 1);
        g_assert_cmpstr(database_text(rows, 0), ==, "d\xc3\xa9j\xc3\xa0");
        g_assert_cmpint(database_integer(rows, 1), ==, INT64_MAX);
        g_assert_cmpfloat(database_double(rows, 2), ==, 0.5);
        blob = database_blob(rows, 3, &n);
        g_assert_cmpmem(blob, n, bytes, sizeof bytes);

        g_assert_cmpint(database_next(rows), ==, 1);
        g_assert_null(database_blob(rows, 3, &n));
        g_assert_cmpuint(n, ==, 0);
        g_assert_cmpint(database_next(rows), ==, 0);
}

static void test_same_statement_inside_itself(struct fixture *f, gconstpointer data) {
        AUTO_ROWS struct database_rows *outer = NULL;
        const char *sql = "SELECT name FROM thing ORDER BY name";

        insert(f->db, "a", 1);
        insert(f->db, "b", 1);
        g_assert_cmpint(database_query(f->db, &outer, sql, NULL), ==, 0);
        g_assert_cmpint(database_next(outer), ==, 1);
        for (int i = 0; i < 2; i++) {
                AUTO_ROWS struct database_rows *inner = NULL;

                g_assert_cmpint(database_query(f->db, &inner, sql, NULL), ==, 0);
                g_assert_cmpint(database_next(inner), ==, 1);
                g_assert_cmpstr(database_text(inner, 0), ==, "a");
        }
        g_assert_cmpint(database_next(outer), ==, 1);
        g_assert_cmpstr(database_text(outer, 0), ==, "b");
}

static void test_many_statements(struct fixture *f, gconstpointer data) {
        for (int i = 0; i < 200; i++) {
                g_autofree char *sql = g_strdup_printf("INSERT INTO thing (name, size) VALUES (?, %d)", i);
                g_autofree char *name = g_strdup_printf("%d", i);

                g_assert_cmpint(database_run(f->db, sql, "s", name), ==, 0);
        }
        g_assert_cmpint(count(f->db), ==, 200);
}

static void test_constraints(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(insert(f->db, "a", 1), ==, 0);
        g_assert_cmpint(insert(f->db, "a", 2), ==, -EEXIST);
        g_assert_nonnull(strstr(database_why(f->db), f->path));
        g_assert_nonnull(strstr(database_why(f->db), "thing.name"));
        g_assert_cmpint(insert(f->db, "b", -1), ==, -EINVAL);
        g_assert_cmpint(database_run(f->db, "INSERT INTO nothing VALUES (1)", NULL), ==, -EIO);
        g_assert_cmpint(count(f->db), ==, 1);
}

static int insert_two(struct database *db, const char *a, const char *b) {
        AUTO_ROLLBACK struct database *transaction = NULL;
        int r;

        r = database_begin(db, &transaction);
        if (r < 0)
                return r;
        r = insert(db, a, 1);
        if (r < 0)
                return r;
        r = insert(db, b, 1);
        if (r < 0)
                return r;
        return database_commit(&transaction);
}

static void test_transaction(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(insert_two(f->db, "a", "a"), ==, -EEXIST);
        g_assert_nonnull(strstr(database_why(f->db), "UNIQUE"));
        g_assert_cmpint(count(f->db), ==, 0);
        g_assert_cmpint(insert_two(f->db, "a", "b"), ==, 0);
        g_assert_cmpint(count(f->db), ==, 2);
}

static void test_migration(struct fixture *f, gconstpointer data) {
        AUTO_ROWS struct database_rows *rows = NULL;

        insert(f->db, "a", 1);
        g_assert_cmpint(reopen(f, &version_2), ==, 0);
        g_assert_cmpint(database_query(f->db, &rows, "SELECT colour FROM thing", NULL), ==, 0);
        g_assert_cmpint(database_next(rows), ==, 1);
        g_assert_cmpstr(database_text(rows, 0), ==, "grey");
        database_rows_free(g_steal_pointer(&rows));

        g_assert_cmpint(reopen(f, &version_2), ==, 0);  /* and not once more */
        g_assert_cmpint(count(f->db), ==, 1);
}

static void test_broken_migration(struct fixture *f, gconstpointer data) {
        insert(f->db, "a", 1);
        g_assert_cmpint(reopen(f, &broken_2), ==, -EIO);
        g_assert_cmpint(reopen(f, &version_1), ==, 0);
        g_assert_cmpint(count(f->db), ==, 1);
        g_assert_cmpint(database_run(f->db, "INSERT INTO other VALUES (1)", NULL), ==, -EIO);
}

static void test_newer(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(reopen(f, &version_2), ==, 0);
        g_assert_cmpint(insert(f->db, "a", 1), ==, 0);
        g_assert_cmpint(reopen(f, &version_1), ==, -EPROTONOSUPPORT);
        g_assert_null(f->db);
        g_assert_cmpint(reopen(f, &version_2), ==, 0);
        g_assert_cmpint(count(f->db), ==, 1);
}

static void test_second_user(struct fixture *f, gconstpointer data) {
        pid_t pid = fork();
        int status;

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                struct database *other = NULL;

                _exit(database_open(&other, f->path, DATABASE_DURABLE, &version_1) == -EBUSY ? 0 : 1);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
}

/* The log of a process that was killed is still there, and takes part when the next one opens the database. */
static void test_killed(struct fixture *f, gconstpointer durability) {
        int status, pipe_fd[2];
        char byte;
        pid_t pid;

        f->db = database_close(f->db);
        g_assert_cmpint(pipe(pipe_fd), ==, 0);
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                struct database *transaction;

                if (database_open(&f->db, f->path, GPOINTER_TO_INT(durability), &version_1) < 0 || insert(f->db, "committed", 1) < 0 ||
                    database_begin(f->db, &transaction) < 0 || insert(f->db, "not committed", 1) < 0)
                        _exit(1);
                if (write(pipe_fd[1], "x", 1) == 1)
                        pause();
                _exit(1);
        }
        close(pipe_fd[1]);
        g_assert_cmpint(read(pipe_fd[0], &byte, 1), ==, 1);
        close(pipe_fd[0]);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);

        g_assert_cmpint(database_open(&f->db, f->path, DATABASE_DURABLE, &version_1), ==, 0);
        g_assert_cmpint(count(f->db), ==, 1);
}

static void test_disk_full(struct fixture *f, gconstpointer data) {
        g_autofree char *big = g_strnfill(100 * 1000, 'x');
        AUTO_ROLLBACK struct database *transaction = NULL;

        g_assert_cmpint(insert(f->db, "a", 1), ==, 0);
        g_assert_cmpint(database_run(f->db, "PRAGMA max_page_count = 8", NULL), ==, 0);
        g_assert_cmpint(insert(f->db, big, 1), ==, -ENOSPC);
        g_assert_nonnull(strstr(database_why(f->db), "full"));

        g_assert_cmpint(database_begin(f->db, &transaction), ==, 0);
        g_assert_cmpint(insert(f->db, "b", 1), ==, 0);
        g_assert_cmpint(insert(f->db, big, 1), ==, -ENOSPC);
        database_rollback(&transaction);
        g_assert_cmpint(count(f->db), ==, 1);

        g_assert_cmpint(insert(f->db, "c", 1), ==, 0);  /* what fits still goes in */
}

static void test_cannot_open(struct fixture *f, gconstpointer data) {
        g_autofree char *nowhere = g_build_filename(f->directory, "no", "b.db", NULL);
        g_autofree char *text = g_build_filename(f->directory, "text.db", NULL);
        g_autofree char *prose = g_strnfill(8192, 'p');
        struct database *db = NULL;

        g_assert_cmpint(database_open(&db, nowhere, DATABASE_DURABLE, &version_1), ==, -ENOENT);
        g_assert_cmpint(database_open(&db, f->directory, DATABASE_DURABLE, &version_1), ==, -EISDIR);
        g_assert_true(g_file_set_contents(text, prose, -1, NULL));
        g_assert_cmpint(database_open(&db, text, DATABASE_DURABLE, &version_1), ==, -EUCLEAN);
        g_assert_null(db);
}

static void test_damaged(struct fixture *f, gconstpointer data) {
        g_autofree char *contents = NULL;
        struct database *db = NULL;
        gsize n;

        for (int i = 0; i < 1000; i++) {
                g_autofree char *name = g_strdup_printf("name %d", i);

                g_assert_cmpint(insert(f->db, name, i), ==, 0);
        }
        f->db = database_close(f->db);
        g_assert_true(g_file_get_contents(f->path, &contents, &n, NULL));
        memset(contents + 4096, 0xff, n - 4096);        /* all but the schema */
        g_assert_true(g_file_set_contents(f->path, contents, (gssize) n, NULL));

        g_assert_cmpint(database_open(&db, f->path, DATABASE_DURABLE, &version_1), ==, 0);
        g_assert_cmpint(insert(db, "a", 1), ==, -EUCLEAN);
        database_close(db);
}

/* What a copy has to be changed to would be written, and waited for, when it is opened. */
static void test_copy(struct fixture *f, gconstpointer data) {
        g_autofree char *contents = NULL, *path = g_build_filename(f->directory, "copy.db", NULL);
        struct database *db = NULL;
        uint8_t *copy = NULL;
        size_t n_copy = 0;
        gsize n;

        g_assert_cmpint(insert(f->db, "a", 1), ==, 0);
        g_assert_cmpint(database_copy(f->db, 100, &copy, &n_copy), ==, -E2BIG);
        g_assert_cmpint(database_copy(f->db, 1 << 20, &copy, &n_copy), ==, 0);
        g_assert_true(g_file_set_contents(path, (const char *) copy, (gssize) n_copy, NULL));
        g_assert_cmpint(database_open(&db, path, DATABASE_DURABLE, &version_1), ==, 0);
        g_assert_cmpint(count(db), ==, 1);
        g_assert_true(g_file_get_contents(path, &contents, &n, NULL));
        g_assert_cmpmem(contents, n, copy, n_copy);

        g_assert_cmpint(database_sync(db), ==, 0);
        g_assert_cmpint(insert(db, "b", 2), ==, 0);
        db = database_close(db);
        g_assert_cmpint(database_open(&db, path, DATABASE_DURABLE, &version_1), ==, 0);
        g_assert_cmpint(count(db), ==, 2);
        database_close(db);
        database_copy_free(copy);
}

int main(int argc, char **argv) {
        const struct {
                const char *name;
                void (*test)(struct fixture *f, gconstpointer data);
                int data;
        } tests[] = {
                { "/database/values-come-back", test_values },
                { "/database/a-statement-runs-inside-itself", test_same_statement_inside_itself },
                { "/database/more-statements-than-are-kept", test_many_statements },
                { "/database/constraints-have-errnos-of-their-own", test_constraints },
                { "/database/a-transaction-is-all-or-nothing", test_transaction },
                { "/database/an-older-schema-is-brought-up-to-date-once", test_migration },
                { "/database/a-step-that-fails-leaves-the-version-before-it", test_broken_migration },
                { "/database/a-newer-schema-is-refused-and-not-touched", test_newer },
                { "/database/a-second-process-is-kept-out", test_second_user },
                { "/database/commits-survive-a-kill-when-durable", test_killed, DATABASE_DURABLE },
                { "/database/commits-survive-a-kill-when-crash-safe", test_killed, DATABASE_CRASH_SAFE },
                { "/database/a-full-disk-undoes-and-goes-on", test_disk_full },
                { "/database/what-cannot-be-opened-says-why", test_cannot_open },
                { "/database/damage-is-noticed", test_damaged },
                { "/database/a-copy-is-opened-as-it-is", test_copy },
        };

        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_EMERG);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, struct fixture, GINT_TO_POINTER(tests[i].data), set_up, tests[i].test, tear_down);
        return g_test_run();
}
