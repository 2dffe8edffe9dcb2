/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The storage service's part in a move. It is quiet when no operation is left: quick ones are waited for, those that may take as long as their
 * caller likes are in the way. Disks and data paths are rows of the database, and go with it. What there is besides, such as the table of a single file,
 * is found again by looking at each storage repository, as after any start.
 *
 * The other domain can go on if it reaches every storage repository that is attached: it is looked at there without changing anything.
 */

#include "handover-storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child.h"
#include "cleanup.h"
#include "failure.h"
#include "hold.h"
#include "idl-errors.h"
#include "keeper.h"
#include "log.h"
#include "operation.h"
#include "plan.h"
#include "server.h"
#include "storage.h"

#define CHECK_DEADLINE_USEC UINT64_C(20000000)  /* of one storage repository */

/* Becoming quiet */

static const struct operation *find_slow(const struct storage *storage) {
        for (const struct operation *operation = storage->operations; operation; operation = operation->next)
                if (operation->kind->is_slow)
                        return operation;
        return NULL;
}

/* If it cannot be, the service moves nevertheless, and what it serves ends with this process. */
static void prepare_keeper(struct storage *storage) {
        int r;

        if (!servers_are_here(storage) || storage->keeper)
                return;
        r = keeper_new(&storage->keeper, storage);
        if (r >= 0)
                r = servers_keep(storage, keeper_text(storage->keeper));
        if (r >= 0)
                return;
        storage->keeper = keeper_free(storage->keeper);
        log_event(LOG_WARNING, NULL, "What serves disks cannot be kept here when the service moves: %s", strerrordesc_np(-r));
}

static void forget_keeper(struct storage *storage) {
        int r;

        storage->is_quiescing = false;
        if (!storage->keeper)
                return;
        storage->keeper = keeper_free(storage->keeper);
        r = servers_keep(storage, "");
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Cannot write down who serves disks: %s", strerrordesc_np(-r));
}

static int quiesce(void *userdata, struct idl_error *error) {
        struct storage *storage = userdata;
        const struct operation *slow = find_slow(storage);

        if (slow)
                return idl_error_set_busy(error, "service", service_bus_name(storage->service), slow->description ?: slow->kind->name);
        sd_event_source_set_enabled(storage->prober, SD_EVENT_OFF);
        storage->is_quiescing = true;
        if (storage->n_operations > 0)
                return 0;
        prepare_keeper(storage);
        return 1;
}

void storage_is_quiet(struct storage *storage) {
        if (!storage->is_quiescing)
                return;
        prepare_keeper(storage);
        service_quiet(storage->service);
}

static int go(void *userdata) {
        struct storage *storage = userdata;

        forget_keeper(storage);
        servers_left_watch(storage);
        return storage->prober ? sd_event_source_set_enabled(storage->prober, SD_EVENT_ONESHOT) : storage_start_probes(storage);
}

/* Disks that are being used go on being served, by the same processes, where they are. */
static void leave(void *userdata) {
        servers_leave(userdata);
        holds_leave(userdata);
}

static bool stays(void *userdata) {
        struct storage *storage = userdata;

        return storage->keeper && keeper_stays(storage->keeper);
}

/* Whether it can be done here */

struct checking {
        struct handover_check *check;
        sd_event *event;
        struct storage storage;         /* for nothing but its storage repositories */
        struct sr *next;                /* those that were not looked at yet */
        struct sr *current;
        struct child *child;
        struct idl_arena arena;
        sd_event_source *start;
        char said[512];
};

static void look_at_next(struct checking *checking);

static void failed(struct checking *checking, int r, const char *reason) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;

        idl_error_set_unreachable(&error, "SR", checking->current->name, reason);
        handover_checked(checking->check, r, &error);
}

/* unreachable REASON, or failed ERRNO REASON */
static void on_line(const char *line, void *userdata) {
        struct checking *checking = userdata;
        int number, n = 0;

        if (strncmp(line, "unreachable ", 12) == 0)
                snprintf(checking->said, sizeof checking->said, "%s", line + 12);
        else if (sscanf(line, "failed %d %n", &number, &n) == 1 && n > 0)
                snprintf(checking->said, sizeof checking->said, "%s", line + n);
}

static void on_end(const struct child_end *end, void *userdata) {
        struct checking *checking = userdata;
        char text[768];

        checking->child = child_free(checking->child);
        if (child_end_good(end) && *checking->said == '\0') {
                look_at_next(checking);
                return;
        }
        child_end_describe(end, text, sizeof text);
        failed(checking, -EHOSTUNREACH, *checking->said ? checking->said : text);
}

static const struct child_listener listener = { on_line, on_end };

static int look(struct checking *checking) {
        struct plan plan = { .arena = &checking->arena, .io_program = storage_io_program() };
        struct child_spec spec = { .deadline_usec = CHECK_DEADLINE_USEC };

        checking->current->driver->scan(&plan, checking->current, checking->current->id);
        if (plan.r < 0 || plan.n_steps == 0)
                return plan.r < 0 ? plan.r : -EOPNOTSUPP;
        *checking->said = '\0';
        spec.argv = plan.steps[0].argv;
        return child_start(&checking->child, checking->event, &spec, &listener, checking);
}

static void look_at_next(struct checking *checking) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        int r;

        checking->current = checking->next;
        if (!checking->current) {
                handover_checked(checking->check, 0, &error);
                return;
        }
        checking->next = checking->current->next;
        r = look(checking);
        if (r < 0)
                failed(checking, r, strerrordesc_np(-r));
}

static int on_start(sd_event_source *source, void *userdata) {
        look_at_next(userdata);
        return 0;
}

/* Its path is all that a driver needs to know of it for a look. */
static int add(struct checking *checking, struct database_rows *rows) {
        const struct driver *driver = driver_find(database_text(rows, 2) ?: "");
        const struct xcp_dict_s_s_entry config = { "path", database_text(rows, 3) ?: "" };
        struct sr *sr;
        int r;

        if (!driver)
                return -EUCLEAN;
        r = sr_new(&sr, &checking->storage, database_text(rows, 0) ?: "", database_text(rows, 1) ?: "", driver);
        if (r < 0)
                return r;
        sr->next = checking->storage.srs;
        checking->storage.srs = sr;
        return sr_set_config(sr, &config, 1);
}

static void check_free(void *userdata) {
        struct checking *checking = userdata;

        child_free(checking->child);
        sd_event_source_disable_unref(checking->start);
        while (checking->storage.srs) {
                struct sr *sr = checking->storage.srs;

                checking->storage.srs = sr->next;
                sr_unref(sr);
        }
        idl_arena_done(&checking->arena);
        free(checking);
}

static int check(struct service *service, struct database *db, struct handover_check *check, void **ret_checking, struct idl_error *error) {
        AUTO_ROWS struct database_rows *rows = NULL;
        struct checking *checking = calloc(1, sizeof *checking);
        int r;

        if (!checking)
                return -ENOMEM;
        checking->check = check;
        checking->event = service_event(service);
        *ret_checking = checking;
        r = database_query(db, &rows,
                           "SELECT sr.uuid, sr.name, sr.driver, sr_config.value FROM sr LEFT JOIN sr_config"
                           " ON sr_config.sr = sr.uuid AND sr_config.key = 'path' WHERE sr.attached <> 0 AND sr.pending = ''", NULL);
        while (r >= 0 && (r = database_next(rows)) > 0)
                r = add(checking, rows);
        if (r < 0)
                return idl_error_set_corrupt(error, "state", "storage", "its storage repositories cannot be read");
        checking->next = checking->storage.srs;
        return sd_event_add_defer(checking->event, &checking->start, on_start, checking);
}

const struct handover_kind storage_handover = {
        .quiesce = quiesce,
        .go = go,
        .leave = leave,
        .stays = stays,
        .check = check,
        .check_free = check_free,
};
