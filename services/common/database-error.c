/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "database-error.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "idl-errors.h"
#include "log.h"

#define DATABASE_PAGE 4096u             /* what a commit needs at least: SQLite's page */

static uint64_t free_bytes(const char *path) {
        struct statvfs st;

        return statvfs(path, &st) < 0 ? 0 : (uint64_t) st.f_bavail * st.f_frsize;
}

int database_set_error(struct database *db, int r, struct idl_error *error) {
        const char *path = database_path(db);

        if (error && error->name)
                return r;
        log_event(LOG_ERR, LOG_FIELDS({ "XCP_DATABASE", path }), "Cannot use the database %s", database_why(db));
        switch (r) {
        case -ENOSPC:
                idl_error_set_not_enough_space(error, DATABASE_PAGE, free_bytes(path));
                break;
        case -EROFS:
                idl_error_set_read_only(error, "database", path);
                break;
        case -EUCLEAN:
                idl_error_set_corrupt(error, "database", path, database_why(db));
                break;
        case -ENOMEM:
                idl_error_set_out_of_memory(error, "the database");
                break;
        default:
                idl_error_set_internal(error, "database", database_why(db));
        }
        return r;
}
