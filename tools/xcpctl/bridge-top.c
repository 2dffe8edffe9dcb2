/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bridge-top.h"

#include "bridge-links.h"
#include "live.h"
#include "property.h"
#include "quantity.h"
#include "value.h"

/* What a column adds up, and how. */
static const struct column {
        const char *title;
        const char *counters[2];        /* added; the second may be NULL */
        bool now;                       /* of the moment, and nothing that goes on growing */
        enum quantity_unit unit;
} columns[] = {
        { "PEERS", { "peers" }, true, QUANTITY_PLAIN },
        { "CALLS IN", { "calls.in" }, false, QUANTITY_PLAIN },
        { "CALLS OUT", { "calls.out" }, false, QUANTITY_PLAIN },
        { "SIGNALS", { "signals.in", "signals.out" }, false, QUANTITY_PLAIN },
        { "BYTES IN", { "bytes.in" }, false, QUANTITY_SIZE },
        { "BYTES OUT", { "bytes.out" }, false, QUANTITY_SIZE },
        { "DENIED", { "denied.in", "denied.out" }, false, QUANTITY_PLAIN },
        { "WAITING", { "calls.waiting.in", "calls.waiting.out" }, true, QUANTITY_PLAIN },
        { "QUEUED", { "bytes.queued.out" }, true, QUANTITY_SIZE },
        { "ROUND TRIP", { "round-trip-us" }, true, QUANTITY_DURATION_US },
};

#define N_COLUMNS G_N_ELEMENTS(columns)
#define MESSAGES_COLUMN N_COLUMNS       /* by which rows are sorted; it is not shown */

/* A link at one moment. */
struct sample {
        guint32 domain;
        guint64 epoch;                  /* with another one, counting has begun anew */
        char *state;
        gint64 taken_us;
        guint64 values[N_COLUMNS + 1];
        bool has_rates;                 /* there is an earlier sample to compare it with */
        double rates[N_COLUMNS + 1];    /* for each second */
};

struct top {
        struct context *context;
        GHashTable *before;             /* struct sample by domain */
};

static void sample_free(void *userdata) {
        struct sample *sample = userdata;

        g_free(sample->state);
        g_free(sample);
}

static struct sample *sample_new(struct context *context, const struct bridge_link *link) {
        g_autoptr(GVariant) counters = bridge_link_counters(context, link);
        struct sample *sample = g_new0(struct sample, 1);

        sample->domain = link->domain;
        sample->epoch = link->epoch;
        sample->state = g_strdup(counters ? link->state : "no answer");
        sample->taken_us = g_get_monotonic_time();
        for (size_t i = 0; i < N_COLUMNS; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(columns[i].counters) && columns[i].counters[j]; j++)
                        sample->values[i] += bridge_counter(counters, columns[i].counters[j]);
        sample->values[MESSAGES_COLUMN] = bridge_counter(counters, "messages.in") + bridge_counter(counters, "messages.out");
        return sample;
}

/* By the time that has really passed, which on a busy machine is more than the interval. */
static void sample_compare(struct sample *sample, const struct sample *before) {
        double seconds;

        if (!before || before->epoch != sample->epoch || before->taken_us >= sample->taken_us)
                return;
        seconds = (double) (sample->taken_us - before->taken_us) / G_USEC_PER_SEC;
        for (size_t i = 0; i <= MESSAGES_COLUMN; i++)
                if (sample->values[i] > before->values[i])
                        sample->rates[i] = (double) (sample->values[i] - before->values[i]) / seconds;
        sample->has_rates = true;
}

static int by_messages(const void *a, const void *b) {
        const struct sample *x = *(struct sample *const *) a, *y = *(struct sample *const *) b;
        double difference = y->rates[MESSAGES_COLUMN] - x->rates[MESSAGES_COLUMN];

        if (difference != 0)
                return difference < 0 ? -1 : 1;
        return x->domain < y->domain ? -1 : x->domain > y->domain;
}

/* One value for each second: totals, if there is nothing to compare with and nobody will come back. */
static char *cell_of(const struct sample *sample, size_t i, bool live) {
        if (columns[i].now || !live)
                return quantity_format(columns[i].unit, sample->values[i]);
        return sample->has_rates ? quantity_format(columns[i].unit, (uint64_t) (sample->rates[i] + 0.5)) : g_strdup("-");
}

static void add_row(struct table *table, const struct sample *sample, bool live) {
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);

        g_ptr_array_add(cells, g_strdup_printf("%u", sample->domain));
        g_ptr_array_add(cells, g_strdup(sample->state));
        for (size_t i = 0; i < N_COLUMNS; i++)
                g_ptr_array_add(cells, cell_of(sample, i, live));
        table_add(table, (const char *const *) cells->pdata);
}

/* Rows: no more than that; 0: all. */
static struct table *table_of(const GPtrArray *samples, bool live, unsigned rows) {
        const char *titles[N_COLUMNS + 3] = { "DOMAIN", "STATE" };
        struct table *table;

        for (size_t i = 0; i < N_COLUMNS; i++)
                titles[i + 2] = columns[i].title;
        table = table_new(titles);
        table_align_right(table, 0);
        for (size_t i = 0; i < N_COLUMNS; i++)
                table_align_right(table, i + 2);
        for (unsigned i = 0; i < samples->len && (rows == 0 || i < rows); i++)
                add_row(table, samples->pdata[i], live);
        return table;
}

static GPtrArray *samples_take(struct context *context, GError **error) {
        g_autoptr(GPtrArray) links = bridge_links(context, error);
        GPtrArray *samples;

        if (!links)
                return NULL;
        samples = g_ptr_array_new_with_free_func(sample_free);
        for (unsigned i = 0; i < links->len; i++)
                g_ptr_array_add(samples, sample_new(context, links->pdata[i]));
        return samples;
}

/* Once */

static bool print_json(struct context *context, GError **error) {
        g_autoptr(GPtrArray) links = bridge_links(context, error);
        struct json_object *json;

        if (!links)
                return false;
        json = json_object_new_array();
        for (unsigned i = 0; i < links->len; i++) {
                const struct bridge_link *link = links->pdata[i];
                g_autoptr(GVariant) counters = bridge_link_counters(context, link);
                struct json_object *object = json_object_new_object();

                json_object_object_add(object, "domain", json_object_new_int64(link->domain));
                json_object_object_add(object, "state", json_object_new_string(link->state));
                json_object_object_add(object, "epoch", json_object_new_uint64(link->epoch));
                json_object_object_add(object, "counters", counters ? value_json(counters, NULL) : NULL);
                json_object_array_add(json, object);
        }
        return context_print_json(context, json, false, error);
}

static bool print_once(struct context *context, GError **error) {
        g_autoptr(GPtrArray) samples = samples_take(context, error);
        struct table *table;
        bool good;

        if (!samples)
                return false;
        table = table_of(samples, false, 0);
        good = context_print_table(context, table, error);
        table_free(table);
        return good;
}

/* Live */

static void compare_all(struct top *top, GPtrArray *samples) {
        for (unsigned i = 0; i < samples->len; i++) {
                struct sample *sample = samples->pdata[i];

                sample_compare(sample, g_hash_table_lookup(top->before, GUINT_TO_POINTER(sample->domain)));
        }
        g_ptr_array_sort(samples, by_messages);
}

/* Takes the samples. */
static void remember(struct top *top, GPtrArray *samples) {
        g_hash_table_remove_all(top->before);
        g_ptr_array_set_free_func(samples, NULL);
        for (unsigned i = 0; i < samples->len; i++) {
                struct sample *sample = samples->pdata[i];

                g_hash_table_replace(top->before, GUINT_TO_POINTER(sample->domain), sample);
        }
        g_ptr_array_unref(samples);
}

static struct table *take(void *userdata, unsigned rows, GError **error) {
        struct top *top = userdata;
        GPtrArray *samples = samples_take(top->context, error);
        struct table *table;

        if (!samples)
                return NULL;
        compare_all(top, samples);
        table = table_of(samples, true, rows);
        remember(top, samples);
        return table;
}

static bool watch(struct context *context, GError **error) {
        struct top top = { .context = context, .before = g_hash_table_new_full(NULL, NULL, NULL, sample_free) };
        bool good = live_run(context, take, &top, error);

        g_hash_table_unref(top.before);
        return good;
}

bool bridge_top_run(struct context *context, const struct arguments *arguments, GError **error) {
        if (context->json)
                return print_json(context, error);
        if (context->width == 0 || arguments_has(arguments, "--once"))
                return print_once(context, error);
        return watch(context, error);
}
