/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "diagnostics-object.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "clock.h"
#include "diagnostics1.h"
#include "log.h"
#include "utf8.h"

#define VENDOR "xcpbus"
#define XCP_ERROR_PREFIX "org.xen.xcp.Error."
#define SECTIONS 5u

static_assert(XCP_HEALTH_GOOD + HEALTH_FAILING == XCP_HEALTH_FAILING, "diagnostics.h and types.xml have the same healths");

struct diagnostics_object {
        sd_bus *bus;
        char *path;
        sd_bus_slot *export;
        struct diagnostics_about about;
        struct diagnostics *diagnostics;
        struct tasks *tasks;
        uint64_t started_usec;
};

/* Counters */

struct counters {
        struct idl_arena *arena;        /* of the entries, and of names that are made up here */
        struct xcp_dict_s_t_entry *entries;
        size_t n, n_allocated;
        int failure;                    /* of the first that could not be added */
};

/* name: NULL if there was no memory for it. */
static void counters_add(struct counters *counters, const char *name, uint64_t value) {
        int r;

        r = name ? idl_arena_grow(counters->arena, (void **) &counters->entries, &counters->n_allocated, counters->n + 1,
                                  sizeof *counters->entries) : -ENOMEM;
        if (r >= 0)
                counters->entries[counters->n++] = (struct xcp_dict_s_t_entry) { name, value };
        else if (counters->failure == 0)
                counters->failure = r;
}

static void add_tasks(struct counters *counters, struct tasks *tasks) {
        struct tasks_figures figures;

        tasks_figures(tasks, &figures);
        counters_add(counters, "tasks.Begun", figures.n_begun);
        counters_add(counters, "tasks.Refused", figures.n_refused);
        counters_add(counters, "tasks.Succeeded", figures.n_ended[TASK_SUCCEEDED]);
        counters_add(counters, "tasks.Failed", figures.n_ended[TASK_FAILED]);
        counters_add(counters, "tasks.Cancelled", figures.n_ended[TASK_CANCELLED]);
        counters_add(counters, "tasks.CancelledLate", figures.n_late);
}

static void add_method(struct counters *counters, const char *interface, const struct idl_method *method) {
        counters_add(counters, idl_arena_printf(counters->arena, "calls.%s.%s", interface, method->name), method->n_calls);
        counters_add(counters, idl_arena_printf(counters->arena, "failed.%s.%s", interface, method->name), method->n_failed);
        counters_add(counters, idl_arena_printf(counters->arena, "us.%s.%s", interface, method->name), method->nsec / 1000);
}

static void add_calls(struct counters *counters) {
        for (const struct idl_interface *i = idl_interface_first(); i; i = idl_interface_next(i))
                for (size_t k = 0; k < i->n_methods; k++)
                        if (i->methods[k].n_calls > 0)
                                add_method(counters, i->name, &i->methods[k]);
}

static void add_errors(struct counters *counters) {
        const size_t n_prefix = strlen(XCP_ERROR_PREFIX);

        for (size_t i = 0; i <= IDL_ERRORS_N; i++) {
                const char *name = i == IDL_ERRORS_N ? "Other" : idl_error_names[i] + n_prefix;

                if (idl_call_n_failed(i) > 0)
                        counters_add(counters, idl_arena_printf(counters->arena, "errors.%s", name), idl_call_n_failed(i));
        }
}

static void all_counters(const struct diagnostics_object *object, struct counters *counters) {
        add_tasks(counters, object->tasks);
        add_calls(counters);
        add_errors(counters);
        counters_add(counters, "log.Error", log_count(LOG_ERR));
        counters_add(counters, "log.Warning", log_count(LOG_WARNING));
        for (size_t i = 0; i < object->diagnostics->n_counters; i++)
                counters_add(counters, object->diagnostics->counters[i].name, *object->diagnostics->counters[i].value);
}

static int on_get_counters(void *userdata, struct idl_call *call, struct idl_error *error) {
        struct counters counters = { .arena = idl_call_arena(call) };

        all_counters(userdata, &counters);
        return counters.failure < 0 ? counters.failure : diagnostics1_reply_get_counters(call, counters.entries, counters.n);
}

/* The dump */

static void write_service(const struct diagnostics_object *object, FILE *f) {
        fprintf(f, "vendor %s\nversion %s\ninstance %s\nstarted %" PRIu64 " us\nbus %s\nstate directory %s\nlog level %s\n", VENDOR,
                DIAGNOSTICS_VERSION, object->about.instance, object->started_usec, object->about.bus_address, object->about.state_dir,
                log_level_name(log_level()));
        fprintf(f, "health %s\n", health_name(diagnostics_health(object->diagnostics)));
        for (size_t i = 0; i < object->diagnostics->n_problems; i++)
                fprintf(f, "  %s: %s\n", object->diagnostics->problems[i].name, object->diagnostics->problems[i].text);
}

static void write_counters(const struct diagnostics_object *object, FILE *f) {
        AUTO(idl_arena_done) struct idl_arena arena = IDL_ARENA_NULL;
        struct counters counters = { .arena = &arena };

        all_counters(object, &counters);
        for (size_t i = 0; i < counters.n; i++)
                fprintf(f, "%s %" PRIu64 "\n", counters.entries[i].key, counters.entries[i].value);
}

static void write_tasks(const struct diagnostics_object *object, FILE *f) {
        tasks_dump(object->tasks, f);
}

static void write_objects(const struct diagnostics_object *object, FILE *f) {
        if (object->about.dump)
                object->about.dump(*object->about.userdata, f);
}

static void write_log(const struct diagnostics_object *object, FILE *f) {
        fputs(log_tail(), f);
}

static const struct section {
        const char *title;
        void (*write)(const struct diagnostics_object *object, FILE *f);
} sections[SECTIONS] = {
        { "Service", write_service }, { "Counters", write_counters }, { "Tasks", write_tasks },
        { "Objects", write_objects }, { "Log", write_log },
};

/* What a section writes, as a string that D-Bus carries. NULL without memory. */
static char *section_text(const struct diagnostics_object *object, const struct section *section) {
        AUTO_FREE char *text = NULL;
        size_t size;
        FILE *f;

        f = open_memstream(&text, &size);
        if (!f)
                return NULL;
        section->write(object, f);
        return fclose(f) == 0 ? idl_utf8_copy(text, DUMP_SECTION_MAX) : NULL;
}

static int on_get_dump(void *userdata, struct idl_call *call, struct idl_error *error) {
        struct xcp_dump_section dump[SECTIONS] = {};
        char *texts[SECTIONS] = {};
        int r = 0;

        for (size_t i = 0; i < SECTIONS && r >= 0; i++) {
                texts[i] = section_text(userdata, &sections[i]);
                if (!texts[i])
                        r = -ENOMEM;
                dump[i] = (struct xcp_dump_section) { sections[i].title, texts[i] };
        }
        if (r >= 0)
                r = diagnostics1_reply_get_dump(call, dump, SECTIONS);
        for (size_t i = 0; i < SECTIONS; i++)
                free(texts[i]);
        return r;
}

/* Properties */

static int get_vendor(void *object, struct idl_arena *arena, const char **ret_vendor) {
        *ret_vendor = VENDOR;
        return 0;
}

static int get_version(void *object, struct idl_arena *arena, const char **ret_version) {
        *ret_version = DIAGNOSTICS_VERSION;
        return 0;
}

static int get_features(void *userdata, struct idl_arena *arena, const char *const **ret_features, size_t *ret_n_features) {
        const struct diagnostics_object *object = userdata;
        size_t n = 0;

        while (object->about.features && object->about.features[n])
                n++;
        *ret_features = object->about.features;
        *ret_n_features = n;
        return 0;
}

static int get_instance_id(void *userdata, struct idl_arena *arena, const char **ret_instance_id) {
        const struct diagnostics_object *object = userdata;

        *ret_instance_id = object->about.instance;
        return 0;
}

static int get_started_us(void *userdata, struct idl_arena *arena, uint64_t *ret_started_us) {
        const struct diagnostics_object *object = userdata;

        *ret_started_us = object->started_usec;
        return 0;
}

static int get_health(void *userdata, struct idl_arena *arena, enum xcp_health *ret_health) {
        const struct diagnostics_object *object = userdata;

        *ret_health = XCP_HEALTH_GOOD + diagnostics_health(object->diagnostics);
        return 0;
}

static int get_health_reasons(void *userdata, struct idl_arena *arena, const char *const **ret_reasons, size_t *ret_n_reasons) {
        const struct diagnostics *diagnostics = ((struct diagnostics_object *) userdata)->diagnostics;
        const char **reasons;

        reasons = idl_arena_alloc(arena, diagnostics->n_problems, sizeof *reasons);
        if (!reasons && diagnostics->n_problems > 0)
                return -ENOMEM;
        for (size_t i = 0; i < diagnostics->n_problems; i++)
                reasons[i] = diagnostics->problems[i].text;
        *ret_reasons = reasons;
        *ret_n_reasons = diagnostics->n_problems;
        return 0;
}

static const int levels[] = {
        [XCP_LOG_LEVEL_ERROR] = LOG_ERR,
        [XCP_LOG_LEVEL_WARNING] = LOG_WARNING,
        [XCP_LOG_LEVEL_INFO] = LOG_INFO,
        [XCP_LOG_LEVEL_DEBUG] = LOG_DEBUG,
};

static int get_log_level(void *object, struct idl_arena *arena, enum xcp_log_level *ret_log_level) {
        enum xcp_log_level level = XCP_LOG_LEVEL_ERROR;

        while (level < XCP_LOG_LEVEL_DEBUG && levels[level] < log_level())
                level++;
        *ret_log_level = level;
        return 0;
}

static int set_log_level(void *object, enum xcp_log_level level, struct idl_error *error) {
        if (levels[level] == log_level())
                return 0;
        log_event(LOG_INFO, NULL, "The log level changes from %s to %s", log_level_name(log_level()), log_level_name(levels[level]));
        log_set_level(levels[level]);
        return 1;
}

static const struct diagnostics1_handlers handlers = {
        .get_counters = on_get_counters,
        .get_dump = on_get_dump,
        .get_vendor = get_vendor,
        .get_version = get_version,
        .get_features = get_features,
        .get_instance_id = get_instance_id,
        .get_started_us = get_started_us,
        .get_health = get_health,
        .get_health_reasons = get_health_reasons,
        .get_log_level = get_log_level,
        .set_log_level = set_log_level,
};

static void on_changed(void *userdata) {
        struct diagnostics_object *object = userdata;

        diagnostics1_emit_changed(object->bus, object->path, DIAGNOSTICS1_PROPERTY_HEALTH | DIAGNOSTICS1_PROPERTY_HEALTH_REASONS);
}

int diagnostics_object_new(struct diagnostics_object **ret_object, sd_bus *bus, const char *path, const struct diagnostics_about *about,
                           struct diagnostics *diagnostics, struct tasks *tasks) {
        AUTO(diagnostics_object_freep) struct diagnostics_object *object = NULL;
        int r;

        object = malloc(sizeof *object);
        if (!object)
                return -ENOMEM;
        *object = (struct diagnostics_object) {
                .bus = sd_bus_ref(bus),
                .path = strdup(path),
                .about = *about,
                .diagnostics = diagnostics,
                .tasks = tasks,
                .started_usec = clock_now_usec(CLOCK_REALTIME),
        };
        if (!object->path)
                return -ENOMEM;
        r = diagnostics1_export(bus, &object->export, path, &handlers, object);
        if (r < 0)
                return r;
        diagnostics->changed = on_changed;
        diagnostics->userdata = object;
        *ret_object = object;
        object = NULL;
        return 0;
}

struct diagnostics_object *diagnostics_object_free(struct diagnostics_object *object) {
        if (!object)
                return NULL;
        object->diagnostics->changed = NULL;
        sd_bus_slot_unref(object->export);
        sd_bus_unref(object->bus);
        free(object->path);
        free(object);
        return NULL;
}
