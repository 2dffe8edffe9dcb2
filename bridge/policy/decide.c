/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What rules say to messages and names. */

#include <string.h>
#include <strings.h>

#include "names.h"
#include "rule.h"

bool pattern_matches(const struct pattern *pattern, const char *text, char separator) {
        size_t n;

        if (!pattern->text)
                return true;
        n = strlen(pattern->text);
        if (strncmp(text, pattern->text, n) != 0)
                return false;
        if (text[n] == '\0')
                return true;
        return pattern->below && (text[n] == separator || pattern->text[n - 1] == separator);   /* the latter is the path / */
}

/* All of several things: what is not so outweighs what is not known. */
static enum verdict both(enum verdict a, enum verdict b) {
        if (a == VERDICT_NO || b == VERDICT_NO)
                return VERDICT_NO;
        return a == VERDICT_UNKNOWN ? a : b;
}

/* Whether text is what is wanted, or begins with it; NULL wants nothing. */
static enum verdict text_matches(const char *wanted, bool begins, const char *text) {
        if (!wanted)
                return VERDICT_YES;
        if (!text || !*text)
                return VERDICT_UNKNOWN;
        return strncmp(text, wanted, begins ? strlen(wanted) : strlen(wanted) + 1) == 0 ? VERDICT_YES : VERDICT_NO;
}

/* UUIDs are written in either case. */
static enum verdict uuid_matches(const char *wanted, const char *uuid) {
        if (!wanted)
                return VERDICT_YES;
        if (!uuid || !*uuid)
                return VERDICT_UNKNOWN;
        return strcasecmp(uuid, wanted) == 0 ? VERDICT_YES : VERDICT_NO;
}

static enum verdict who_matches(const struct who *who, const struct bridge_domain *domain) {
        enum verdict verdict = !who->by_id || who->id == domain->id ? VERDICT_YES : VERDICT_NO;

        verdict = both(verdict, uuid_matches(who->uuid, domain->uuid));
        verdict = both(verdict, text_matches(who->type, false, domain->type));
        return both(verdict, text_matches(who->name, who->name_begins, domain->name));
}

enum verdict whos_match(const struct whos *whos, const struct bridge_domain *domain) {
        enum verdict best = VERDICT_NO;

        for (size_t i = 0; i < whos->n; i++) {
                enum verdict verdict = who_matches(&whos->who[i], domain);

                if (verdict == VERDICT_YES)
                        return verdict;
                if (verdict == VERDICT_UNKNOWN)
                        best = verdict;
        }
        return best;
}

static enum verdict names_match(const struct bridge_rule *rule, const struct bridge_query *query) {
        if (rule->unnamed)
                return query->n_names == 0 ? VERDICT_YES : VERDICT_NO;
        if (!rule->names.text)
                return VERDICT_YES;
        for (size_t i = 0; i < query->n_names; i++)
                if (pattern_matches(&rule->names, query->names[i], '.'))
                        return VERDICT_YES;
        return VERDICT_NO;
}

static enum verdict field_matches(const struct pattern *pattern, const char *text, char separator) {
        if (!pattern->text)
                return VERDICT_YES;
        if (!text)
                return VERDICT_UNKNOWN;
        return pattern_matches(pattern, text, separator) ? VERDICT_YES : VERDICT_NO;
}

/* One thing that a rule asks for, and what to say if it is not so. */
struct finding {
        enum verdict verdict;
        const char *no, *unknown;
};

/* Whether a rule is about this kind of thing at all. */
static bool is_about(const struct bridge_rule *rule, enum bridge_kind kind, enum bridge_direction direction) {
        return (rule->kinds & KIND_BIT(kind)) && (kind == BRIDGE_OWN || rule->direction == direction);
}

/* The verdict, and for another one than yes, why. */
static enum verdict rule_matches(const struct bridge_rule *rule, const struct bridge_query *query, const char **ret_why) {
        enum verdict verdict = VERDICT_YES;

        *ret_why = "it is about something else";
        if (!is_about(rule, query->kind, query->direction))
                return VERDICT_NO;

        const struct finding findings[] = {
                { whos_match(&rule->whos, &query->domain), "the domain is another one", "not enough is known of the domain" },
                { names_match(rule, query), query->n_names > 0 ? "the name is another one" : "the connection owns no name", NULL },
                { field_matches(&rule->path, query->path, '/'), "the path is another one", "there is no path" },
                { field_matches(&rule->interface, query->interface, '.'), "the interface is another one",
                  "the message names no interface" },
                { text_matches(rule->member, false, query->member), "the member is another one", "there is no member" },
        };
        for (size_t i = 0; i < sizeof findings / sizeof *findings; i++) {
                if (findings[i].verdict == VERDICT_NO) {
                        *ret_why = findings[i].no;
                        return VERDICT_NO;
                }
                if (findings[i].verdict == VERDICT_UNKNOWN && verdict == VERDICT_YES) {
                        *ret_why = findings[i].unknown;
                        verdict = VERDICT_UNKNOWN;
                }
        }
        return verdict;
}

/* An allow must be sure; everything else takes what it cannot know for a yes. */
static bool applies(const struct bridge_rule *rule, enum verdict verdict) {
        return verdict == VERDICT_YES || (verdict == VERDICT_UNKNOWN && rule->action != BRIDGE_ALLOW);
}

void bridge_policy_explain(const struct bridge_policy *policy, const struct bridge_query *query,
                           void (*tell)(void *userdata, const struct bridge_rule *rule, const char *why), void *userdata,
                           struct bridge_decision *ret_decision) {
        *ret_decision = (struct bridge_decision) {};
        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct bridge_rule *rule = policy->rules[i];
                const char *why;
                bool matched = applies(rule, rule_matches(rule, query, &why));

                if (tell)
                        tell(userdata, rule, matched ? NULL : why);
                if (!matched)
                        continue;
                if (rule->action == BRIDGE_LOG) {
                        if (!ret_decision->log)
                                ret_decision->log = rule;
                        continue;
                }
                ret_decision->rule = rule;
                ret_decision->allowed = rule->action == BRIDGE_ALLOW;
                return;
        }
}

void bridge_policy_decide(const struct bridge_policy *policy, const struct bridge_query *query, struct bridge_decision *ret_decision) {
        bridge_policy_explain(policy, query, NULL, NULL, ret_decision);
}

const char *bridge_query_fault(const struct bridge_query *query, const char **ret_value, const char **ret_wrong) {
        const struct field {
                const char *name, *value;
                bool (*is_valid)(const char *p, size_t n);
                const char *wrong;
        } fields[] = {
                { query->kind == BRIDGE_OWN ? "owns" : "destination", query->n_names > 0 ? query->names[0] : NULL, name_is_well_known,
                  "is not a well-known name" },
                { "path", query->path, name_is_path, "is not an object path" },
                { "interface", query->interface, name_is_interface, "is not the name of an interface" },
                { "member", query->member, name_is_member, "is not the name of a member" },
        };

        for (const struct field *field = fields; field < fields + sizeof fields / sizeof *fields; field++)
                if (field->value && !field->is_valid(field->value, strlen(field->value))) {
                        *ret_value = field->value;
                        *ret_wrong = field->wrong;
                        return field->name;
                }
        return NULL;
}

/* Whether anything of a kind is allowed about a name. A deny of only some of it leaves the rest for what comes after it. */
static bool allows_something(const struct bridge_policy *policy, const struct bridge_domain *domain, enum bridge_kind kind,
                             enum bridge_direction direction, const char *name) {
        const struct bridge_query query = { .domain = *domain, .kind = kind, .direction = direction, .names = &name, .n_names = 1 };

        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct bridge_rule *rule = policy->rules[i];
                enum verdict verdict;

                if (!is_about(rule, kind, direction) || rule->action == BRIDGE_LOG || names_match(rule, &query) != VERDICT_YES)
                        continue;
                verdict = whos_match(&rule->whos, domain);
                if (!applies(rule, verdict))
                        continue;
                if (rule->action == BRIDGE_ALLOW)
                        return true;
                if (!rule->path.text && !rule->interface.text && !rule->member)
                        return false;
        }
        return false;
}

bool bridge_policy_exports(const struct bridge_policy *policy, const struct bridge_domain *domain, const char *name) {
        return allows_something(policy, domain, BRIDGE_CALL, BRIDGE_IN, name) ||
               allows_something(policy, domain, BRIDGE_SIGNAL, BRIDGE_OUT, name);
}
