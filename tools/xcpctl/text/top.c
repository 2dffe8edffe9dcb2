/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "top.h"

#include "live.h"
#include "value.h"

#define COLUMNS_MAX 16

struct top {
        const struct top_kind *kind;
        struct context *context;
        GHashTable *before;             /* struct sample by domain; NULL: totals are shown */
};

/* A row with its columns added up. */
struct sample {
        guint32 domain;
        guint64 epoch;
        char *state;
        bool answers;
        gint64 taken_us;
        guint64 values[COLUMNS_MAX], busy;
        double seconds;                 /* since the last look, which has really passed and may be more than the interval; 0: there was none */
        const struct sample *before;
};

static void row_free(void *userdata) {
        struct top_row *row = userdata;

        g_free(row->state);
        g_clear_pointer(&row->counters, g_variant_unref);
        g_free(row);
}

static void sample_free(void *userdata) {
        struct sample *sample = userdata;

        g_free(sample->state);
        g_free(sample);
}

void top_row(GPtrArray *rows, guint32 domain, guint64 epoch, const char *state, GVariant *counters) {
        struct top_row *row = g_new0(struct top_row, 1);

        *row = (struct top_row) { .domain = domain, .epoch = epoch, .state = g_strdup(state), .counters = counters };
        g_ptr_array_add(rows, row);
}

static guint64 sum(GVariant *counters, const char *const names[2]) {
        guint64 all = 0;

        for (size_t i = 0; i < 2 && names[i]; i++) {
                guint64 value = 0;

                if (counters)
                        g_variant_lookup(counters, names[i], "t", &value);
                all += value;
        }
        return all;
}

static struct sample *sample_new(const struct top *top, const struct top_row *row) {
        struct sample *sample = g_new0(struct sample, 1);

        sample->domain = row->domain;
        sample->epoch = row->epoch;
        sample->state = g_strdup(row->state);
        sample->answers = row->counters;
        sample->taken_us = g_get_monotonic_time();
        for (size_t i = 0; top->kind->columns[i].title; i++)
                sample->values[i] = sum(row->counters, top->kind->columns[i].counters);
        sample->busy = sum(row->counters, top->kind->busy);
        return sample;
}

static void compare(const struct top *top, struct sample *sample) {
        const struct sample *before = top->before ? g_hash_table_lookup(top->before, GUINT_TO_POINTER(sample->domain)) : NULL;

        if (!before || !before->answers || before->epoch != sample->epoch || before->taken_us >= sample->taken_us)
                return;
        sample->before = before;
        sample->seconds = (double) (sample->taken_us - before->taken_us) / G_USEC_PER_SEC;
}

static double rate(const struct sample *sample, guint64 value, guint64 before) {
        return sample->seconds > 0 && value > before ? (double) (value - before) / sample->seconds : 0;
}

static int by_business(const void *a, const void *b) {
        const struct sample *x = *(struct sample *const *) a, *y = *(struct sample *const *) b;
        double of_x = rate(x, x->busy, x->before ? x->before->busy : 0), of_y = rate(y, y->busy, y->before ? y->before->busy : 0);

        if (of_x != of_y)
                return of_x > of_y ? -1 : 1;
        return x->domain < y->domain ? -1 : x->domain > y->domain;
}

/* What is less than before has begun anew, as a backend does that was started again. */
static char *cell_of(const struct top *top, const struct sample *sample, size_t i) {
        const struct top_column *column = &top->kind->columns[i];

        if (!sample->answers)
                return g_strdup("-");
        if (column->now || !top->before)
                return quantity_format(column->unit, sample->values[i]);
        if (!sample->before || sample->before->values[i] > sample->values[i])
                return g_strdup("-");
        return quantity_format(column->unit, (guint64) (rate(sample, sample->values[i], sample->before->values[i]) + 0.5));
}

static void add_row(const struct top *top, struct table *table, const struct sample *sample) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(cells, g_strdup_printf("%u", sample->domain));
        g_ptr_array_add(cells, g_strdup(sample->state));
        for (size_t i = 0; top->kind->columns[i].title; i++)
                g_ptr_array_add(cells, cell_of(top, sample, i));
        table_add(table, (const char *const *) cells->pdata);
}

static struct table *table_of(const struct top *top, const GPtrArray *samples, unsigned rows) {
        const char *titles[COLUMNS_MAX + 3] = { "DOMAIN", "STATE" };
        struct table *table;
        size_t n = 0;

        for (; top->kind->columns[n].title; n++)
                titles[n + 2] = top->kind->columns[n].title;
        table = table_new(titles);
        table_align_right(table, 0);
        for (size_t i = 0; i < n; i++)
                table_align_right(table, i + 2);
        for (unsigned i = 0; i < samples->len && (rows == 0 || i < rows); i++)
                add_row(top, table, samples->pdata[i]);
        return table;
}

/* For the next look. */
static void remember(struct top *top, GPtrArray *samples) {
        g_hash_table_remove_all(top->before);
        g_ptr_array_set_free_func(samples, NULL);
        for (unsigned i = 0; i < samples->len; i++) {
                struct sample *sample = samples->pdata[i];

                sample->before = NULL;
                g_hash_table_replace(top->before, GUINT_TO_POINTER(sample->domain), sample);
        }
}

static struct table *take(void *userdata, unsigned n, GError **error) {
        struct top *top = userdata;
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free), samples = g_ptr_array_new_with_free_func(sample_free);
        struct table *table;

        if (!top->kind->rows(top->context, rows, error))
                return NULL;
        for (unsigned i = 0; i < rows->len; i++) {
                struct sample *sample = sample_new(top, rows->pdata[i]);

                compare(top, sample);
                g_ptr_array_add(samples, sample);
        }
        if (top->before && top->kind->busy[0])
                g_ptr_array_sort(samples, by_business);
        table = table_of(top, samples, n);
        if (top->before)
                remember(top, samples);
        return table;
}

static bool print_json(struct top *top, GError **error) {
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(row_free);
        struct json_object *json;

        if (!top->kind->rows(top->context, rows, error))
                return false;
        json = json_object_new_array();
        for (unsigned i = 0; i < rows->len; i++) {
                const struct top_row *row = rows->pdata[i];
                struct json_object *object = json_object_new_object();

                json_object_object_add(object, "domain", json_object_new_int64(row->domain));
                json_object_object_add(object, "state", json_object_new_string(row->state));
                if (top->kind->has_epochs)
                        json_object_object_add(object, "epoch", json_object_new_uint64(row->epoch));
                json_object_object_add(object, "counters", row->counters ? value_json(row->counters, NULL) : NULL);
                json_object_array_add(json, object);
        }
        return context_print_json(top->context, json, false, error);
}

static bool print_once(struct top *top, GError **error) {
        struct table *table = take(top, 0, error);
        bool good = table && context_print_table(top->context, table, error);

        if (table)
                table_free(table);
        return good;
}

bool top_run(const struct top_kind *kind, struct context *context, const struct arguments *arguments, GError **error) {
        struct top top = { .kind = kind, .context = context };
        bool good;

        if (context->json)
                return print_json(&top, error);
        if (context->width == 0 || arguments_has(arguments, "--once"))
                return print_once(&top, error);
        top.before = g_hash_table_new_full(NULL, NULL, NULL, sample_free);
        good = live_run(context, take, &top, error);
        g_hash_table_unref(top.before);
        return good;
}
