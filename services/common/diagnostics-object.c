/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "diagnostics-object.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "diagnostics1.h"
#include "log.h"
#include "utf8.h"

#define VENDOR "xcpbus"
#define FRAMEWORK_COUNTERS_MAX 12u
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

static size_t framework_counters(const struct diagnostics_object *object, struct xcp_dict_s_t_entry *counters) {
        struct tasks_figures figures;
        size_t n = 0;

        tasks_figures(object->tasks, &figures);
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.Begun", figures.n_begun };
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.Refused", figures.n_refused };
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.Succeeded", figures.n_ended[TASK_SUCCEEDED] };
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.Failed", figures.n_ended[TASK_FAILED] };
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.Cancelled", figures.n_ended[TASK_CANCELLED] };
        counters[n++] = (struct xcp_dict_s_t_entry) { "tasks.CancelledLate", figures.n_late };
        counters[n++] = (struct xcp_dict_s_t_entry) { "log.Error", log_count(LOG_ERR) };
        counters[n++] = (struct xcp_dict_s_t_entry) { "log.Warning", log_count(LOG_WARNING) };
        assert(n <= FRAMEWORK_COUNTERS_MAX);
        return n;
}

static size_t all_counters(const struct diagnostics_object *object, struct xcp_dict_s_t_entry *counters) {
        size_t n = framework_counters(object, counters);

        for (size_t i = 0; i < object->diagnostics->n_counters; i++) {
                const struct diagnostics_counter *counter = &object->diagnostics->counters[i];

                counters[n++] = (struct xcp_dict_s_t_entry) { counter->name, *counter->value };
        }
        return n;
}

static int on_get_counters(void *userdata, struct idl_call *call, struct idl_error *error) {
        struct xcp_dict_s_t_entry counters[FRAMEWORK_COUNTERS_MAX + DIAGNOSTICS_COUNTERS_MAX];
        size_t n = all_counters(userdata, counters);

        return diagnostics1_reply_get_counters(call, counters, n);
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
        struct xcp_dict_s_t_entry counters[FRAMEWORK_COUNTERS_MAX + DIAGNOSTICS_COUNTERS_MAX];
        size_t n = all_counters(object, counters);

        for (size_t i = 0; i < n; i++)
                fprintf(f, "%s %" PRIu64 "\n", counters[i].key, counters[i].value);
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
        struct timespec now;
        int r;

        object = malloc(sizeof *object);
        if (!object)
                return -ENOMEM;
        clock_gettime(CLOCK_REALTIME, &now);
        *object = (struct diagnostics_object) {
                .bus = sd_bus_ref(bus),
                .path = strdup(path),
                .about = *about,
                .diagnostics = diagnostics,
                .tasks = tasks,
                .started_usec = (uint64_t) now.tv_sec * UINT64_C(1000000) + (uint64_t) now.tv_nsec / 1000,
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
