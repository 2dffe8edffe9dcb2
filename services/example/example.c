/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* xcp-example: counters that count, for docs/writing-a-service.md. Every service is built like this one. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "database-error.h"
#include "example-types.h"
#include "example1-counter.h"
#include "example1-manager.h"
#include "service.h"

#define NAME_SIZE_MAX 64u

/* What there is */

struct example {
        struct service *service;
        struct objects *counters;
        struct counter *first;
        uint64_t n_steps;               /* counted since the start */
};

struct counter {
        struct example *example;
        struct counter *next;
        char *name;
        const char *path;
        uint64_t value;
        unsigned n_counting;            /* tasks */
};

static struct counter *counter_free(struct counter *counter) {
        if (counter)
                free(counter->name);
        free(counter);
        return NULL;
}

/* Puts a counter on the bus. */
static int counter_add(struct example *example, const char *name, uint64_t value, struct counter **ret_counter) {
        struct counter *counter;
        int r;

        counter = malloc(sizeof *counter);
        if (!counter)
                return -ENOMEM;
        *counter = (struct counter) { .example = example, .name = strdup(name), .value = value };
        r = counter->name ? objects_add(example->counters, name, counter, &counter->path) : -ENOMEM;
        if (r < 0) {
                counter_free(counter);
                return r;
        }
        counter->next = example->first;
        example->first = counter;
        *ret_counter = counter;
        return 0;
}

/* The manager */

static int on_create_counter(void *object, struct idl_call *call, const char *name, struct idl_error *error) {
        struct example *example = object;
        struct database *db = service_database(example->service);
        struct counter *counter;
        int r;

        if (*name == '\0' || strlen(name) > NAME_SIZE_MAX)
                return idl_error_set_invalid_argument(error, "name", name, "has to have 1 to 64 bytes");

        r = database_run(db, "INSERT INTO counter (name, value) VALUES (?, 0)", "s", name);
        if (r == -EEXIST)
                return idl_error_set_already_exists(error, "counter", name);
        if (r < 0)
                return database_set_error(db, r, error);

        r = counter_add(example, name, 0, &counter);
        if (r < 0) {
                database_run(db, "DELETE FROM counter WHERE name = ?", "s", name);
                return r;
        }
        return example1_manager_reply_create_counter(call, counter->path);
}

static const struct example1_manager_handlers manager_handlers = {
        .create_counter = on_create_counter,
};

/* Counting: the work of a task */

struct counting {
        struct counter *counter;
        struct work *work;
        sd_event_source *timer;
        uint32_t n_steps, n_done;
        uint64_t step_usec;
};

static void counting_free(struct counting *counting) {
        counting->counter->n_counting--;
        sd_event_source_disable_unref(counting->timer);
        free(counting);
}

/* It is done: the database first, and when the value is safe there, the bus. */
static int keep_value(struct counting *counting, struct idl_error *error) {
        struct counter *counter = counting->counter;
        struct database *db = service_database(counter->example->service);
        int r;

        r = database_run(db, "UPDATE counter SET value = value + ? WHERE name = ?", "xs", (int64_t) counting->n_steps, counter->name);
        if (r < 0)
                return database_set_error(db, r, error);
        counter->value += counting->n_steps;
        example1_counter_emit_changed(service_bus(counter->example->service), counter->path, EXAMPLE1_COUNTER_PROPERTY_VALUE);
        return 0;
}

static int make_result(struct counting *counting, sd_bus_message **ret_result) {
        const struct example_counted counted = { .value = counting->counter->value };
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        int r;

        r = work_result_new(counting->work, &result);
        if (r < 0)
                return r;
        r = example_counted_append(result, &counted);
        if (r < 0)
                return r;
        *ret_result = result;
        result = NULL;
        return 0;
}

static void counting_end(struct counting *counting) {
        AUTO(idl_error_done) struct idl_error error = IDL_ERROR_NULL;
        AUTO(sd_bus_message_unrefp) sd_bus_message *result = NULL;
        int r;

        r = keep_value(counting, &error);
        if (r >= 0)
                r = make_result(counting, &result);
        if (r < 0)
                work_fail(counting->work, r, &error);
        else
                work_succeed(counting->work, result);
        counting_free(counting);
}

static int on_step(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct counting *counting = userdata;

        counting->counter->example->n_steps++;
        work_advance(counting->work, (double) ++counting->n_done / counting->n_steps);
        if (counting->n_done == counting->n_steps) {
                counting_end(counting);
                return 0;
        }
        return sd_event_source_set_time(timer, usec + counting->step_usec);
}

static void on_cancel(void *userdata) {
        struct counting *counting = userdata;

        work_fail_cancelled(counting->work);
        counting_free(counting);
}

static void on_interrupt(void *userdata) {
        counting_free(userdata);
}

static int counting_start(struct counting *counting, struct idl_call *call, struct idl_error *error) {
        sd_event *event = service_event(counting->counter->example->service);
        const struct work_kind kind = {
                .description = idl_arena_printf(idl_call_arena(call), "Count %s", counting->counter->name),
                .cancel = on_cancel,
                .cancel_bound_usec = 1000000,
                .interrupt = on_interrupt,
        };
        int r;

        r = sd_event_add_time_relative(event, &counting->timer, CLOCK_MONOTONIC, counting->step_usec, 0, on_step, counting);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(counting->timer, SD_EVENT_ON);
        if (r < 0)
                return r;
        r = work_begin(service_tasks(counting->counter->example->service), call, &kind, counting, error, &counting->work);
        if (r < 0)
                return r;
        return work_run(counting->work);
}

/* A counter */

static int on_count(void *object, struct idl_call *call, uint32_t steps, uint32_t step_ms, struct idl_error *error) {
        struct counter *counter = object;
        struct counting *counting;
        int r;

        if (steps == 0)
                return idl_error_set_invalid_argument(error, "steps", "0", "has to be at least 1");

        counting = malloc(sizeof *counting);
        if (!counting)
                return -ENOMEM;
        *counting = (struct counting) { .counter = counter, .n_steps = steps, .step_usec = step_ms * UINT64_C(1000) };
        counter->n_counting++;
        r = counting_start(counting, call, error);
        if (r < 0) {
                counting_free(counting);
                return r;
        }
        return example1_counter_reply_count(call, work_path(counting->work));
}

static int on_destroy(void *object, struct idl_call *call, struct idl_error *error) {
        struct counter *counter = object, **p = &counter->example->first;
        struct database *db = service_database(counter->example->service);
        int r;

        if (counter->n_counting > 0)
                return idl_error_set_busy(error, "counter", counter->name, "tasks that count");
        r = database_run(db, "DELETE FROM counter WHERE name = ?", "s", counter->name);
        if (r < 0)
                return database_set_error(db, r, error);

        objects_remove(counter->example->counters, counter->path);
        while (*p != counter)
                p = &(*p)->next;
        *p = counter->next;
        counter_free(counter);
        return example1_counter_reply_destroy(call);
}

static int get_name(void *object, struct idl_arena *arena, const char **ret_name) {
        struct counter *counter = object;

        *ret_name = counter->name;
        return 0;
}

static int get_value(void *object, struct idl_arena *arena, uint64_t *ret_value) {
        struct counter *counter = object;

        *ret_value = counter->value;
        return 0;
}

static const struct example1_counter_handlers counter_handlers = {
        .count = on_count,
        .destroy = on_destroy,
        .get_name = get_name,
        .get_value = get_value,
};

/* The service */

static int load_counters(struct example *example) {
        AUTO_ROWS struct database_rows *rows = NULL;
        struct counter *counter;
        int r;

        r = database_query(service_database(example->service), &rows, "SELECT name, value FROM counter", NULL);
        if (r < 0)
                return r;
        while ((r = database_next(rows)) > 0) {
                r = counter_add(example, database_text(rows, 0), (uint64_t) database_integer(rows, 1), &counter);
                if (r < 0)
                        return r;
        }
        return r;
}

static int example_start(struct service *service, void **ret_userdata) {
        sd_bus *bus = service_bus(service);
        struct example *example;
        int r;

        example = calloc(1, sizeof *example);
        if (!example)
                return -ENOMEM;
        example->service = service;
        *ret_userdata = example;        /* from here on, example_stop() frees what there is */

        r = objects_new(&example->counters, bus, "/org/xen/xcp/example/counter");
        if (r < 0)
                return r;
        r = example1_counter_export_tree(bus, NULL, "/org/xen/xcp/example/counter", &counter_handlers, objects_find, example->counters);
        if (r < 0)
                return r;
        r = example1_manager_export(bus, NULL, service_path(service), &manager_handlers, example);
        if (r < 0)
                return r;
        r = diagnostics_count(service_diagnostics(service), "steps", &example->n_steps);
        if (r < 0)
                return r;
        return load_counters(example);
}

static void example_stop(void *userdata) {
        struct example *example = userdata;

        while (example->first) {
                struct counter *counter = example->first;

                example->first = counter->next;
                counter_free(counter);
        }
        objects_free(example->counters);
        free(example);
}

static void example_dump(void *userdata, FILE *f) {
        struct example *example = userdata;

        for (const struct counter *counter = example->first; counter; counter = counter->next)
                fprintf(f, "%s %" PRIu64 "\n", counter->path, counter->value);
}

static const struct service_kind example = {
        .name = "example",
        .about = "Counters that count: the service that the documentation is about.",
        .features = (const char *const[]) { "count", NULL },
        .schema = {
                (const char *const[]) {
                        "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL)",
                },
                1,
        },
        .start = example_start,
        .stop = example_stop,
        .dump = example_dump,
};

int main(int argc, char **argv) {
        return service_main(&example, argc, argv);
}
