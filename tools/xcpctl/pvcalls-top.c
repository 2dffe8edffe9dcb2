/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pvcalls-top.h"

#include "live.h"
#include "pvcalls-domains.h"
#include "quantity.h"
#include "value.h"

/* What a column adds up, and how. */
static const struct column {
        const char *title;
        const char *counters[2];        /* added; the second may be NULL */
        bool now;                       /* of the moment, and nothing that goes on growing */
        enum quantity_unit unit;
} columns[] = {
        { "SOCKETS", { "sockets.now" }, true, QUANTITY_PLAIN },
        { "CONNECTED", { "sockets.connected" }, false, QUANTITY_PLAIN },
        { "ACCEPTED", { "sockets.accepted" }, false, QUANTITY_PLAIN },
        { "RECEIVED", { "bytes.received" }, false, QUANTITY_SIZE },
        { "SENT", { "bytes.sent" }, false, QUANTITY_SIZE },
        { "COMMANDS", { "commands" }, false, QUANTITY_PLAIN },
        { "EVENTS", { "notifications.sent", "notifications.received" }, false, QUANTITY_PLAIN },
        { "DENIED", { "denied", "limited" }, false, QUANTITY_PLAIN },
};

#define N_COLUMNS G_N_ELEMENTS(columns)

/* A domain at one moment. */
struct sample {
        gint64 taken_us;
        guint64 values[N_COLUMNS];
};

struct top {
        struct context *context;
        GHashTable *before;             /* struct sample by the domain's id; NULL: totals are shown */
};

static struct sample *sample_new(GVariant *counters) {
        struct sample *sample = g_new0(struct sample, 1);

        sample->taken_us = g_get_monotonic_time();
        for (size_t i = 0; i < N_COLUMNS; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(columns[i].counters) && columns[i].counters[j]; j++) {
                        guint64 value = 0;

                        g_variant_lookup(counters, columns[i].counters[j], "t", &value);
                        sample->values[i] += value;
                }
        return sample;
}

/* For each second that has really passed; a backend that was started anew counts from 0. */
static char *cell_of(const struct sample *sample, const struct sample *before, size_t i, bool live) {
        double seconds = before ? (double) (sample->taken_us - before->taken_us) / G_USEC_PER_SEC : 0;

        if (columns[i].now || !live)
                return quantity_format(columns[i].unit, sample->values[i]);
        if (seconds <= 0 || before->values[i] > sample->values[i])
                return g_strdup("-");
        return quantity_format(columns[i].unit, (guint64) ((double) (sample->values[i] - before->values[i]) / seconds + 0.5));
}

static void add_row(struct top *top, struct table *table, const struct pvcalls_domain *domain) {
        g_autoptr(GVariant) counters = pvcalls_domain_counters(top->context, domain);
        g_autoptr(GPtrArray) cells = g_ptr_array_new_with_free_func(g_free);
        const struct sample *before = top->before ? g_hash_table_lookup(top->before, GUINT_TO_POINTER(domain->id)) : NULL;
        struct sample *sample = counters ? sample_new(counters) : NULL;

        g_ptr_array_add(cells, g_strdup_printf("%u", domain->id));
        g_ptr_array_add(cells, pvcalls_domain_text(domain, "State"));
        for (size_t i = 0; i < N_COLUMNS; i++)
                g_ptr_array_add(cells, sample ? cell_of(sample, before, i, top->before) : g_strdup("-"));
        table_add(table, (const char *const *) cells->pdata);
        if (top->before && sample)
                g_hash_table_replace(top->before, GUINT_TO_POINTER(domain->id), sample);
        else
                g_free(sample);
}

static struct table *take(void *userdata, unsigned rows, GError **error) {
        struct top *top = userdata;
        g_autoptr(GPtrArray) domains = pvcalls_domains(top->context, error);
        const char *titles[N_COLUMNS + 3] = { "DOMAIN", "STATE" };
        struct table *table;

        if (!domains)
                return NULL;
        for (size_t i = 0; i < N_COLUMNS; i++)
                titles[i + 2] = columns[i].title;
        table = table_new(titles);
        table_align_right(table, 0);
        for (size_t i = 0; i < N_COLUMNS; i++)
                table_align_right(table, i + 2);
        for (unsigned i = 0; i < domains->len && (rows == 0 || i < rows); i++)
                add_row(top, table, domains->pdata[i]);
        return table;
}

static bool print_json(struct context *context, GError **error) {
        g_autoptr(GPtrArray) domains = pvcalls_domains(context, error);
        struct json_object *json;

        if (!domains)
                return false;
        json = json_object_new_array();
        for (unsigned i = 0; i < domains->len; i++) {
                const struct pvcalls_domain *domain = domains->pdata[i];
                g_autoptr(GVariant) counters = pvcalls_domain_counters(context, domain);
                g_autofree char *state = pvcalls_domain_text(domain, "State");
                struct json_object *object = json_object_new_object();

                json_object_object_add(object, "domain", json_object_new_int64(domain->id));
                json_object_object_add(object, "state", json_object_new_string(state));
                json_object_object_add(object, "counters", counters ? value_json(counters, NULL) : NULL);
                json_object_array_add(json, object);
        }
        return context_print_json(context, json, false, error);
}

static bool print_once(struct top *top, GError **error) {
        struct table *table = take(top, 0, error);
        bool good = table && context_print_table(top->context, table, error);

        if (table)
                table_free(table);
        return good;
}

bool pvcalls_top_run(struct context *context, const struct arguments *arguments, GError **error) {
        struct top top = { .context = context };
        bool good;

        if (context->json)
                return print_json(context, error);
        if (context->width == 0 || arguments_has(arguments, "--once"))
                return print_once(&top, error);
        top.before = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        good = live_run(context, take, &top, error);
        g_hash_table_unref(top.before);
        return good;
}
