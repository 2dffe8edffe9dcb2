/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading policy files; docs/bridge-policy.md has the grammar. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"
#include "parse-who.h"
#include "policy-words.h"
#include "rule.h"

#define RATE_MAX 1000000u

static int no_memory(void *p) {
        return p ? 0 : -ENOMEM;
}

/* Takes a name that may end in .*, or a path that may end in a slash and an asterisk. */
static int take_pattern(struct policy_line *line, const char *what, char separator, bool (*is_valid)(const char *p, size_t n),
                        struct pattern *pattern) {
        const struct policy_word *word = NULL;
        size_t n;
        int r;

        r = policy_take(line, what, &word);
        if (r < 0)
                return r;
        n = word->n;
        if (n >= 2 && word->p[n - 2] == separator && word->p[n - 1] == '*') {
                pattern->below = true;
                n = n == 2 && separator == '/' ? 1 : n - 2;     /* what is below the path / */
        }
        if (!is_valid(word->p, n))
                return policy_fail(line, word->column, "'%.*s' is not %s", POLICY_SHOWN(word), what);
        pattern->text = strndup(word->p, n);
        return no_memory(pattern->text);
}

static int take_names(struct policy_line *line, struct bridge_rule *rule) {
        bool owns = rule->kinds == KIND_BIT(BRIDGE_OWN);
        unsigned column = line->at < line->n_words ? line->words[line->at].column : 0;

        if (policy_take_if(line, "*")) {
                if (owns && rule->action == BRIDGE_ALLOW)
                        return policy_fail(line, column, "who owns every name is every service; name one, or one with .* at its end");
                return 0;
        }
        if (policy_take_if(line, "unnamed")) {
                if (owns)
                        return policy_fail(line, column, "nobody owns the name of a connection without one");
                rule->unnamed = true;
                return 0;
        }
        return take_pattern(line, owns ? "a bus name" : "a bus name, * or unnamed", '.', name_is_well_known, &rule->names);
}

static int take_member(struct policy_line *line, char **member) {
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "a method's or signal's name", &word);
        if (r < 0)
                return r;
        if (!name_is_member(word->p, word->n))
                return policy_fail(line, word->column, "'%.*s' is not a method's or signal's name", POLICY_SHOWN(word));
        *member = strndup(word->p, word->n);
        return no_memory(*member);
}

/* Reads digits, 1 to RATE_MAX. */
static int read_count(struct policy_line *line, const struct policy_word *word, size_t n, uint64_t *ret_count) {
        uint64_t count = 0;

        for (size_t i = 0; i < n; i++) {
                if (word->p[i] < '0' || word->p[i] > '9')
                        return policy_fail(line, word->column + i, "'%.*s' is not a number", POLICY_SHOWN(word));
                count = 10 * count + (word->p[i] - '0');
                if (count > RATE_MAX)
                        return policy_fail(line, word->column, "%.*s is more than %u", (int) n, word->p, RATE_MAX);
        }
        if (count == 0)
                return policy_fail(line, word->column, n == 0 ? "there is no number in '%.*s'" : "%.*s would let nothing through",
                                   POLICY_SHOWN(word));
        *ret_count = count;
        return 0;
}

static int take_rate(struct policy_line *line, struct rate *rate) {
        static const struct {
                const char *unit;
                uint64_t ns;
        } units[] = {
                { "/s", UINT64_C(1000000000) }, { "/min", UINT64_C(60000000000) }, { "/h", UINT64_C(3600000000000) },
        };
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "a rate such as 100/s", &word);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
                size_t n_unit = strlen(units[i].unit);
                uint64_t count;

                if (word->n < n_unit || memcmp(word->p + word->n - n_unit, units[i].unit, n_unit) != 0)
                        continue;
                r = read_count(line, word, word->n - n_unit, &count);
                if (r < 0)
                        return r;
                rate->interval_ns = units[i].ns / count;
                rate->burst = count;
                return 0;
        }
        return policy_fail(line, word->column, "'%.*s' is not a rate: a number and /s, /min or /h", POLICY_SHOWN(word));
}

static int take_burst(struct policy_line *line, unsigned column, struct rate *rate) {
        const struct policy_word *word = NULL;
        int r;

        if (rate->interval_ns == 0)
                return policy_fail(line, column, "a burst comes after the rate that it belongs to");
        r = policy_take(line, "a number", &word);
        if (r < 0)
                return r;
        return read_count(line, word, word->n, &rate->burst);
}

/* Of the words after the names, in any order and each once. */
enum qualifier {
        PATH,
        INTERFACE,
        MEMBER,
        RATE,
        BURST,
        _QUALIFIER_N,
};

static const char *const qualifiers[] = { "path", "interface", "member", "rate", "burst" };

static int take_value(struct policy_line *line, enum qualifier qualifier, unsigned column, struct bridge_rule *rule) {
        switch (qualifier) {
        case PATH:
                return take_pattern(line, "an object path", '/', name_is_path, &rule->path);
        case INTERFACE:
                return take_pattern(line, "an interface name", '.', name_is_interface, &rule->interface);
        case MEMBER:
                return take_member(line, &rule->member);
        case RATE:
                if (rule->action != BRIDGE_ALLOW)
                        return policy_fail(line, column, "only what is allowed has a rate");
                return take_rate(line, &rule->rate);
        default:
                return take_burst(line, column, &rule->rate);
        }
}

static int take_qualifiers(struct policy_line *line, struct bridge_rule *rule) {
        unsigned seen = 0;

        for (;;) {
                unsigned column = line->at < line->n_words ? line->words[line->at].column : 0;
                int q = 0, r;

                while (q < _QUALIFIER_N && !policy_take_if(line, qualifiers[q]))
                        q++;
                if (q == _QUALIFIER_N)
                        return 0;
                if (seen & (1u << q))
                        return policy_fail(line, column, "this is the second '%s' in a line", qualifiers[q]);
                seen |= 1u << q;
                r = take_value(line, q, column, rule);
                if (r < 0)
                        return r;
        }
}

/* Takes own, or a direction and what goes that way. */
static int take_kind(struct policy_line *line, struct bridge_rule *rule) {
        static const struct {
                const char *word;
                unsigned kinds;
        } kinds[] = {
                { "call", KIND_BIT(BRIDGE_CALL) },
                { "signal", KIND_BIT(BRIDGE_SIGNAL) },
                { "any", KIND_BIT(BRIDGE_CALL) | KIND_BIT(BRIDGE_SIGNAL) },
        };
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "own, in or out", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "own")) {
                rule->kinds = KIND_BIT(BRIDGE_OWN);
                return 0;
        }
        if (!policy_word_is(word, "in") && !policy_word_is(word, "out"))
                return policy_fail(line, word->column, "'%.*s' is none of own, in and out", POLICY_SHOWN(word));
        rule->direction = policy_word_is(word, "in") ? BRIDGE_IN : BRIDGE_OUT;

        r = policy_take(line, "call, signal or any", &word);
        if (r < 0)
                return r;
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
                if (policy_word_is(word, kinds[i].word)) {
                        rule->kinds = kinds[i].kinds;
                        return 0;
                }
        return policy_fail(line, word->column, "'%.*s' is none of call, signal and any", POLICY_SHOWN(word));
}

static int take_domains(struct policy_line *line, struct bridge_rule *rule) {
        const char *word = rule->kinds == KIND_BIT(BRIDGE_OWN) ? "by" : rule->direction == BRIDGE_IN ? "from" : "to";

        if (!policy_take_if(line, word)) {
                if (line->at == line->n_words)
                        return policy_fail(line, line->end_column, "the line ends where '%s' should be, and then a domain", word);
                return policy_fail(line, line->words[line->at].column, "'%.*s' stands where '%s'%s should be",
                                   POLICY_SHOWN(&line->words[line->at]), word,
                                   word[0] == 'b' ? "" : ", path, interface, member, rate or burst");
        }
        return whos_take(line, &rule->whos);
}

/* The line as it was, without blanks around it and its comment. */
static char *text_of(const struct policy_line *line) {
        const struct policy_word *last = &line->words[line->n_words - 1];

        return strndup(line->words[0].p, last->p + last->n - line->words[0].p);
}

static int read_rule(struct policy_line *line, enum bridge_action action, struct bridge_rule *rule) {
        int r;

        rule->action = action;
        rule->line = line->number;
        r = take_kind(line, rule);
        if (r < 0)
                return r;
        r = take_names(line, rule);
        if (r < 0)
                return r;
        if (rule->kinds != KIND_BIT(BRIDGE_OWN)) {
                r = take_qualifiers(line, rule);
                if (r < 0)
                        return r;
        }
        r = take_domains(line, rule);
        if (r < 0)
                return r;
        rule->text = text_of(line);
        return no_memory(rule->text);
}

static void rule_freep(struct bridge_rule **rule) {
        rule_free(*rule);
}

static int parse_rule(struct policy_line *line, struct bridge_policy *policy, enum bridge_action action) {
        AUTO(rule_freep) struct bridge_rule *rule = NULL;
        struct bridge_rule **rules;
        int r;

        if (policy->n_rules == BRIDGE_POLICY_RULES_MAX)
                return policy_fail(line, 1, "this is more than %u rules, counting all files", BRIDGE_POLICY_RULES_MAX);
        rule = calloc(1, sizeof *rule);
        if (!rule)
                return -ENOMEM;
        r = read_rule(line, action, rule);
        if (r < 0)
                return r;
        rules = reallocarray(policy->rules, policy->n_rules + 1, sizeof *rules);
        if (!rules)
                return -ENOMEM;
        if (rule->rate.interval_ns > 0)
                rule->rate.index = policy->n_rates++;
        rule->file = policy->files[policy->n_files - 1];
        policy->rules = rules;
        rules[policy->n_rules++] = rule;
        rule = NULL;
        return 0;
}

static int read_limit(struct policy_line *line, struct limit_line *limit) {
        const struct policy_word *name = NULL, *value = NULL;
        int r, kind;

        r = policy_take(line, "the name of a limit", &name);
        if (r < 0)
                return r;
        kind = bridge_limit_find(name->p, name->n);
        if (kind < 0)
                return policy_fail(line, name->column, "there is no limit '%.*s'", POLICY_SHOWN(name));
        limit->limit = kind;
        r = policy_take(line, "a number", &value);
        if (r < 0)
                return r;
        r = policy_read_number(line, value, bridge_limit_kinds[kind].most, &limit->value);
        if (r < 0)
                return r;
        if (!policy_take_if(line, "for"))
                return policy_fail(line, line->at < line->n_words ? line->words[line->at].column : line->end_column,
                                   "'for' should be here, and then a domain");
        return whos_take(line, &limit->whos);
}

static int parse_limit(struct policy_line *line, struct bridge_policy *policy) {
        struct limit_line limit = {}, *limits;
        int r;

        if (policy->n_limits == BRIDGE_POLICY_RULES_MAX)
                return policy_fail(line, 1, "this is more than %u limits, counting all files", BRIDGE_POLICY_RULES_MAX);
        r = read_limit(line, &limit);
        if (r < 0) {
                whos_done(&limit.whos);
                return r;
        }
        limits = reallocarray(policy->limits, policy->n_limits + 1, sizeof *limits);
        if (!limits) {
                whos_done(&limit.whos);
                return -ENOMEM;
        }
        policy->limits = limits;
        limits[policy->n_limits++] = limit;
        return 0;
}

static int parse_line(struct policy_line *line, struct bridge_policy *policy) {
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "allow, deny, log or limit", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "allow"))
                return parse_rule(line, policy, BRIDGE_ALLOW);
        if (policy_word_is(word, "deny"))
                return parse_rule(line, policy, BRIDGE_DENY);
        if (policy_word_is(word, "log"))
                return parse_rule(line, policy, BRIDGE_LOG);
        if (policy_word_is(word, "limit"))
                return parse_limit(line, policy);
        return policy_fail(line, word->column, "a line begins with allow, deny, log or limit, not with '%.*s'", POLICY_SHOWN(word));
}

/* Keeps a file's name for its rules. */
static int add_file(struct bridge_policy *policy, const char *file) {
        char **files = reallocarray(policy->files, policy->n_files + 1, sizeof *files);

        if (!files)
                return -ENOMEM;
        policy->files = files;
        files[policy->n_files] = strdup(file);
        if (!files[policy->n_files])
                return -ENOMEM;
        policy->n_files++;
        return 0;
}

int bridge_policy_add(struct bridge_policy *policy, const char *file, const char *text, size_t n, struct bridge_policy_error *ret_error) {
        struct policy_error error = {};
        struct policy_line line;
        int r;

        r = add_file(policy, file);
        if (r < 0)
                return r;
        policy_begin(&line, text, n, &error);
        while ((r = policy_next_line(&line)) > 0) {
                r = parse_line(&line, policy);
                if (r < 0)
                        break;
        }
        if (r == -EINVAL) {
                size_t n_file = strlen(file);

                *ret_error = (struct bridge_policy_error) { .line = error.line, .column = error.column };
                snprintf(ret_error->file, sizeof ret_error->file, "%s",
                         file + (n_file < sizeof ret_error->file ? 0 : n_file - sizeof ret_error->file + 1));
                snprintf(ret_error->text, sizeof ret_error->text, "%s", error.text);
        }
        return r;
}
