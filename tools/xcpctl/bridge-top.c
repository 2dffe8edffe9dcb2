/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bridge-top.h"

#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <glib-unix.h>

#include "bridge-links.h"
#include "property.h"
#include "quantity.h"
#include "value.h"

#define INTERVAL_MS 1000
#define HOME "\033[H"
#define TO_END_OF_LINE "\033[K"
#define TO_END_OF_SCREEN "\033[J"

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
        GMainLoop *loop;
        GHashTable *before;             /* struct sample by domain */
        GError *error;
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

/* Each line takes the place of an old one, so that nothing flickers, and what is below goes. */
static bool draw(struct top *top, const GPtrArray *samples) {
        struct winsize size = {};
        struct table_style style = { .header = true, .bold = top->context->colours };
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;
        g_autoptr(GString) screen = g_string_new(HOME);
        struct table *table;
        bool sized = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

        style.width = sized && size.ws_col > 0 ? size.ws_col : top->context->width;
        table = table_of(samples, true, sized && size.ws_row > 3 ? size.ws_row - 2u : 0);
        text = table_text(table, &style);
        table_free(table);
        lines = g_strsplit(text, "\n", -1);
        for (char **line = lines; *line && (**line || line[1]); line++)
                g_string_append_printf(screen, "%s" TO_END_OF_LINE "\n", *line);
        g_string_append(screen, TO_END_OF_SCREEN);
        return context_print(top->context, screen->str, &top->error);
}

static gboolean refresh(void *userdata) {
        struct top *top = userdata;
        GPtrArray *samples = samples_take(top->context, &top->error);
        bool good = samples != NULL;

        if (samples) {
                compare_all(top, samples);
                good = draw(top, samples);
                remember(top, samples);
        }
        if (!good)
                g_main_loop_quit(top->loop);
        return G_SOURCE_CONTINUE;
}

static gboolean on_end(void *userdata) {
        g_main_loop_quit(userdata);
        return G_SOURCE_CONTINUE;
}

static bool watch(struct context *context, GError **error) {
        struct top top = { .context = context };
        unsigned sources[3];

        top.loop = g_main_loop_new(NULL, FALSE);
        top.before = g_hash_table_new_full(NULL, NULL, NULL, sample_free);
        if (context_print(context, HOME TO_END_OF_SCREEN, &top.error))
                refresh(&top);
        if (!top.error) {
                sources[0] = g_timeout_add(INTERVAL_MS, refresh, &top);
                sources[1] = g_unix_signal_add(SIGINT, on_end, top.loop);
                sources[2] = g_unix_signal_add(SIGTERM, on_end, top.loop);
                g_main_loop_run(top.loop);
                for (size_t i = 0; i < G_N_ELEMENTS(sources); i++)
                        g_source_remove(sources[i]);
        }
        g_hash_table_unref(top.before);
        g_main_loop_unref(top.loop);
        if (!top.error)
                return true;
        g_propagate_error(error, top.error);
        return false;
}

bool bridge_top_run(struct context *context, const struct arguments *arguments, GError **error) {
        if (context->json)
                return print_json(context, error);
        if (context->width == 0 || arguments_has(arguments, "--once"))
                return print_once(context, error);
        return watch(context, error);
}
