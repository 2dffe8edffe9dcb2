/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pvcalls-rules.h"

#include <string.h>

#include "context.h"
#include "quantity.h"

struct line {
        char **words;
        unsigned at;
        unsigned number;
        GVariantDict rule;
        GError **error;
};

static const char *const calls[][2] = { { "connect", "Connect" }, { "bind", "Bind" }, { "any", "Any" }, {} };
static const char *const families[][2] = { { "inet", "Inet" }, { "inet6", "Inet6" }, { "unix", "Unix" }, {} };
static const char *const types[][2] = { { "stream", "Stream" }, { "datagram", "Datagram" }, {} };

G_GNUC_PRINTF(2, 3) static bool fail(const struct line *line, const char *format, ...) {
        va_list args;
        g_autofree char *text = NULL;

        va_start(args, format);
        text = g_strdup_vprintf(format, args);
        va_end(args);
        return context_fail(line->error, CONTEXT_ERROR_USAGE, "line %u: %s", line->number, text);
}

static bool take_if(struct line *line, const char *word) {
        if (g_strcmp0(line->words[line->at], word) != 0)
                return false;
        line->at++;
        return true;
}

static const char *take(struct line *line, const char *what) {
        if (line->words[line->at])
                return line->words[line->at++];
        fail(line, "it ends where %s should be", what);
        return NULL;
}

/* The value that the contract has for a word. */
static bool take_known(struct line *line, const char *const (*known)[2], const char *key) {
        for (; (*known)[0]; known++)
                if (take_if(line, (*known)[0])) {
                        g_variant_dict_insert(&line->rule, key, "s", (*known)[1]);
                        return true;
                }
        return false;
}

static bool take_number(struct line *line, const char *what, guint64 max, guint64 *ret_number) {
        const char *word = take(line, what);

        if (!word)
                return false;
        return quantity_parse_number(word, max, ret_number, NULL) || fail(line, "'%.64s' is not %s", word, what);
}

static bool take_ports(struct line *line) {
        const char *word = take(line, "a port");
        const char *dash = word ? strchr(word, '-') : NULL;
        g_autofree char *first_text = dash ? g_strndup(word, (gsize) (dash - word)) : g_strdup(word);
        guint64 first, last;

        if (!word)
                return false;
        if (!quantity_parse_number(first_text, G_MAXUINT16, &first, NULL) ||
            !quantity_parse_number(dash ? dash + 1 : first_text, G_MAXUINT16, &last, NULL))
                return fail(line, "'%.64s' is no port, and no range such as 8000-8080", word);
        g_variant_dict_insert(&line->rule, "port_first", "q", (guint16) first);
        g_variant_dict_insert(&line->rule, "port_last", "q", (guint16) last);
        return true;
}

static bool take_to(struct line *line) {
        guint64 port = 0;

        if (!take_if(line, "port")) {
                const char *address = take(line, "an address or a port");

                if (!address)
                        return false;
                g_variant_dict_insert(&line->rule, "to_address", "s", address);
                if (!take_if(line, "port"))
                        return true;
        }
        if (!take_number(line, "a port", G_MAXUINT16, &port))
                return false;
        g_variant_dict_insert(&line->rule, "to_port", "q", (guint16) port);
        return true;
}

/* What may come where an address could be. */
static bool is_key(const char *word) {
        static const char *const keys[] = { "stream", "datagram", "port", "to", "rate", NULL };

        return g_strv_contains(keys, word);
}

static bool parse(struct line *line) {
        guint64 rate = 0;

        if (take_if(line, "allow"))
                g_variant_dict_insert(&line->rule, "action", "s", "Allow");
        else if (take_if(line, "deny"))
                g_variant_dict_insert(&line->rule, "action", "s", "Deny");
        else
                return fail(line, "a rule begins with allow or deny, not with '%.64s'", line->words[0]);
        take_known(line, calls, "call");
        if (take_known(line, families, "family") && line->words[line->at] && !is_key(line->words[line->at]))
                g_variant_dict_insert(&line->rule, "prefix", "s", line->words[line->at++]);
        take_known(line, types, "type");
        if (take_if(line, "port") && !take_ports(line))
                return false;
        if (take_if(line, "to") && !take_to(line))
                return false;
        if (take_if(line, "rate")) {
                if (!take_number(line, "a number per second", G_MAXUINT32, &rate))
                        return false;
                g_variant_dict_insert(&line->rule, "per_second", "u", (guint32) rate);
        }
        return !line->words[line->at] || fail(line, "'%.64s' is not understood there", line->words[line->at]);
}

/* The words of a line, without what is behind a #. */
static char **split(const char *text) {
        g_autofree char *line = g_strndup(text, strcspn(text, "#"));
        g_auto(GStrv) parts = g_strsplit_set(line, " \t\r", -1);
        g_autoptr(GPtrArray) words = g_ptr_array_new();

        for (char **part = parts; *part; part++)
                if (**part)
                        g_ptr_array_add(words, g_strdup(*part));
        g_ptr_array_add(words, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

GVariant *pvcalls_rules_parse(const char *text, GError **error) {
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("aa{sv}"));
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        if (!g_utf8_validate(text, -1, NULL)) {
                context_fail(error, CONTEXT_ERROR_USAGE, "a policy is text, and this is none");
                return NULL;
        }
        for (unsigned i = 0; lines[i]; i++) {
                g_auto(GStrv) words = split(lines[i]);
                struct line line = { .words = words, .number = i + 1, .error = error };
                bool good;

                if (!words[0])
                        continue;
                g_variant_dict_init(&line.rule, NULL);
                good = parse(&line);
                if (good)
                        g_variant_builder_add_value(&builder, g_variant_dict_end(&line.rule));
                else
                        g_variant_dict_clear(&line.rule);
                if (!good)
                        return NULL;
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

static void add_known(GString *line, GVariant *rule, const char *key, const char *const (*known)[2]) {
        const char *value = "Any";

        g_variant_lookup(rule, key, "&s", &value);
        for (; (*known)[0]; known++)
                if (strcmp((*known)[1], value) == 0 && strcmp(value, "Any") != 0)
                        g_string_append_printf(line, " %s", (*known)[0]);
}

/* A prefix needs the word of its family before it. */
static void add_prefix(GString *line, GVariant *rule) {
        const char *prefix = NULL, *family = "Any";

        g_variant_lookup(rule, "family", "&s", &family);
        add_known(line, rule, "family", families);
        if (!g_variant_lookup(rule, "prefix", "&s", &prefix))
                return;
        if (strcmp(family, "Any") == 0)
                g_string_append(line, strchr(prefix, ':') ? " inet6" : *prefix == '/' || *prefix == '@' ? " unix" : " inet");
        g_string_append_printf(line, " %s", prefix);
}

char *pvcalls_rule_format(GVariant *rule) {
        const char *action = "Deny", *address = NULL;
        guint16 first = 0, last = G_MAXUINT16, to_port = 0;
        guint32 rate = 0;
        GString *line;
        bool has_port;

        g_variant_lookup(rule, "action", "&s", &action);
        g_variant_lookup(rule, "port_first", "q", &first);
        g_variant_lookup(rule, "port_last", "q", &last);
        line = g_string_new(strcmp(action, "Allow") == 0 ? "allow" : "deny");
        add_known(line, rule, "call", calls);
        add_prefix(line, rule);
        add_known(line, rule, "type", types);
        if (first == last)
                g_string_append_printf(line, " port %u", first);
        else if (first != 0 || last != G_MAXUINT16)
                g_string_append_printf(line, " port %u-%u", first, last);
        g_variant_lookup(rule, "to_address", "&s", &address);
        has_port = g_variant_lookup(rule, "to_port", "q", &to_port);
        if (address || has_port)
                g_string_append(line, " to");
        if (address)
                g_string_append_printf(line, " %s", address);
        if (has_port)
                g_string_append_printf(line, " port %u", to_port);
        if (g_variant_lookup(rule, "per_second", "u", &rate))
                g_string_append_printf(line, " rate %u", rate);
        return g_string_free(line, FALSE);
}
