/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rules that can never decide anything, or allow more than is wise. */

#include <stdio.h>
#include <string.h>

#include "rule.h"

struct lint {
        const struct bridge_policy *policy;
        void (*tell)(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text);
        void *userdata;
        unsigned n_warnings;
};

static void warn(struct lint *lint, const struct bridge_rule *rule, const char *text) {
        lint->n_warnings++;
        lint->tell(lint->userdata, BRIDGE_WARNING, rule, text);
}

static void note(struct lint *lint, const struct bridge_rule *rule, const char *text) {
        lint->tell(lint->userdata, BRIDGE_NOTE, rule, text);
}

/* Whether all that b matches a matches, too. */
static bool pattern_covers(const struct pattern *a, const struct pattern *b, char separator) {
        if (!a->text)
                return true;
        return b->text && (a->below || !b->below) && pattern_matches(a, b->text, separator);
}

static bool name_covers(const struct who *a, const struct who *b) {
        if (!a->name)
                return true;
        if (!b->name || (b->name_begins && !a->name_begins))
                return false;
        return strncmp(a->name, b->name, a->name_begins ? strlen(a->name) : strlen(a->name) + 1) == 0;
}

static bool who_covers(const struct who *a, const struct who *b) {
        if (a->by_id && !(b->by_id && a->id == b->id))
                return false;
        if (a->uuid && !(b->uuid && strcmp(a->uuid, b->uuid) == 0))
                return false;
        if (a->type && !(b->type && strcmp(a->type, b->type) == 0))
                return false;
        return name_covers(a, b);
}

static bool whos_cover(const struct whos *a, const struct whos *b) {
        for (size_t i = 0; i < b->n; i++) {
                bool covered = false;

                for (size_t j = 0; j < a->n && !covered; j++)
                        covered = who_covers(&a->who[j], &b->who[i]);
                if (!covered)
                        return false;
        }
        return true;
}

static bool names_cover(const struct bridge_rule *a, const struct bridge_rule *b) {
        if (a->unnamed || b->unnamed)
                return (a->unnamed && b->unnamed) || (!a->unnamed && !a->names.text);
        return pattern_covers(&a->names, &b->names, '.');
}

/* Whether there are messages that a, which allows, does not match only because something about them is not known. */
static bool needs_to_know(const struct bridge_rule *rule) {
        for (size_t i = 0; i < rule->whos.n; i++)
                if (rule->whos.who[i].uuid || rule->whos.who[i].name || rule->whos.who[i].type)
                        return true;
        return rule->interface.text && (rule->kinds & KIND_BIT(BRIDGE_CALL));
}

/* Whether b never gets to decide because a has. */
static bool shadows(const struct bridge_rule *a, const struct bridge_rule *b) {
        if (a->action == BRIDGE_LOG || (b->kinds & ~a->kinds))
                return false;
        if (a->kinds != KIND_BIT(BRIDGE_OWN) && a->direction != b->direction)
                return false;
        /* What is not known is for a deny or log that comes later, but not for an allow. */
        if (a->action == BRIDGE_ALLOW && b->action != BRIDGE_ALLOW && needs_to_know(a))
                return false;
        if (a->member && !(b->member && strcmp(a->member, b->member) == 0))
                return false;
        return names_cover(a, b) && pattern_covers(&a->path, &b->path, '/') && pattern_covers(&a->interface, &b->interface, '.') &&
               whos_cover(&a->whos, &b->whos);
}

static void check_shadows(struct lint *lint, size_t at) {
        const struct bridge_rule *rule = lint->policy->rules[at];

        for (size_t i = 0; i < at; i++) {
                const struct bridge_rule *before = lint->policy->rules[i];
                char text[512];

                if (!shadows(before, rule))
                        continue;
                snprintf(text, sizeof text, "it never decides: %s, line %u, does before it", before->file, before->line);
                warn(lint, rule, text);
                return;
        }
}

/* Whether any of what the pattern stands for can be this name. */
static bool pattern_meets(const struct pattern *pattern, const char *name) {
        return pattern->text && pattern_matches(pattern, name, '.');
}

static void check_own(struct lint *lint, const struct bridge_rule *rule) {
        const struct pattern driver = { .text = (char *) "org.freedesktop.DBus", .below = true };

        if (rule->action != BRIDGE_ALLOW)
                return;
        if (pattern_covers(&driver, &rule->names, '.'))
                warn(lint, rule, "nobody can own it: it is the bus's own name, or belongs to what each bus answers itself");
        else if (pattern_meets(&rule->names, "org.xen.xcp.bridge"))
                warn(lint, rule, "org.xen.xcp.bridge is among these names, and is never let in: each domain has its own bridge");
}

/* Whether a rule may let a domain own what the other is about. */
static bool may_own(const struct bridge_rule *own, const struct bridge_rule *rule) {
        if (own->action != BRIDGE_ALLOW || own->kinds != KIND_BIT(BRIDGE_OWN))
                return false;
        return pattern_covers(&own->names, &rule->names, '.') || pattern_covers(&rule->names, &own->names, '.');
}

/* Services of another domain have to own a name before they can be called by it, or be heard as such. */
static void check_remote_name(struct lint *lint, const struct bridge_rule *rule) {
        bool is_remote = (rule->direction == BRIDGE_OUT && (rule->kinds & KIND_BIT(BRIDGE_CALL))) ||
                         (rule->direction == BRIDGE_IN && (rule->kinds & KIND_BIT(BRIDGE_SIGNAL)));

        if (!is_remote || rule->action != BRIDGE_ALLOW || !rule->names.text)
                return;
        for (size_t i = 0; i < lint->policy->n_rules; i++)
                if (may_own(lint->policy->rules[i], rule))
                        return;
        warn(lint, rule, "no domain may own this name, so there is nobody that it is about");
}

static void check_driver(struct lint *lint, const struct bridge_rule *rule) {
        if (rule->names.text && strcmp(rule->names.text, "org.freedesktop.DBus") == 0 && !rule->names.below)
                warn(lint, rule, "it does nothing: what is for the bus itself is answered by each bus, and never passes");
}

static bool is_for_any(const struct whos *whos) {
        const struct who any = {};

        for (size_t i = 0; i < whos->n; i++)
                if (who_covers(&whos->who[i], &any))
                        return true;
        return false;
}

static void check_width(struct lint *lint, const struct bridge_rule *rule) {
        if (rule->action != BRIDGE_ALLOW)
                return;
        if (rule->direction == BRIDGE_IN && (rule->kinds & KIND_BIT(BRIDGE_CALL)) && !rule->unnamed && !rule->names.text &&
            !rule->interface.text && !rule->path.text)
                warn(lint, rule, "it lets the other domain call everything on this bus");
        else if (rule->kinds == KIND_BIT(BRIDGE_OWN) && is_for_any(&rule->whos))
                warn(lint, rule, "it lets every domain own the name, a guest that nobody trusts too");
}

static void check_ids(struct lint *lint, const struct bridge_rule *rule) {
        for (size_t i = 0; i < rule->whos.n; i++)
                if (rule->whos.who[i].by_id && rule->whos.who[i].id != 0 && !rule->whos.who[i].uuid) {
                        note(lint, rule, "a domain gets another id each time it starts, and others may have had this one; its UUID stays");
                        return;
                }
}

unsigned bridge_policy_lint(const struct bridge_policy *policy,
                            void (*tell)(void *userdata, enum bridge_severity severity, const struct bridge_rule *rule, const char *text),
                            void *userdata) {
        struct lint lint = { .policy = policy, .tell = tell, .userdata = userdata };

        for (size_t i = 0; i < policy->n_rules; i++) {
                const struct bridge_rule *rule = policy->rules[i];

                check_shadows(&lint, i);
                if (rule->kinds == KIND_BIT(BRIDGE_OWN)) {
                        check_own(&lint, rule);
                } else {
                        check_driver(&lint, rule);
                        check_remote_name(&lint, rule);
                }
                check_width(&lint, rule);
                check_ids(&lint, rule);
        }
        return lint.n_warnings;
}
