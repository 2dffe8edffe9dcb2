/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What each side wants to hear of.
 *
 * Match rules cross the link as they are, in canonical form: the other bridge asks its bus for what matches, once for all who want it here.
 * So a signal crosses the link once, and this bus gives it to everybody who asked for it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "log.h"
#include "match.h"
#include "session-private.h"

/* Here: a rule that the other domain was told, and how many reasons there are for it. */
struct wanted {
        uint32_t id;
        unsigned n;
        char rule[];
};

/* There: a rule that the bus was told for the other domain, and how many ids it has. */
struct rule {
        unsigned n;
        char text[];
};

/* What this bus wants */

int rules_want(struct session *session, const char *rule) {
        struct wanted *wanted = table_get_string(session->wanted, rule);
        int r;

        if (wanted) {
                wanted->n++;
                return 0;
        }
        if (table_count(session->wanted) >= WIRE_RULES_MAX || strlen(rule) > WIRE_RULE_MAX) {
                log_event(LOG_WARNING, NULL, "Signals of domain %u will be missed: it cannot be asked for '%s', with %u rules and %u bytes each",
                          session->options.domain, rule, WIRE_RULES_MAX, WIRE_RULE_MAX);
                return 0;
        }
        wanted = malloc(sizeof *wanted + strlen(rule) + 1);
        if (!wanted)
                return -ENOMEM;
        wanted->id = ++session->next_wanted;
        wanted->n = 1;
        strcpy(wanted->rule, rule);
        r = table_add_string(session->wanted, rule, wanted);
        if (r < 0) {
                free(wanted);
                return r;
        }
        session_kick(session);
        return frame_append_subscribe(mux_control(session->mux), wanted->id, rule);
}

int rules_unwant(struct session *session, const char *rule) {
        struct wanted *wanted = table_get_string(session->wanted, rule);
        int r;

        if (!wanted || --wanted->n > 0)
                return 0;
        table_remove_string(session->wanted, rule);
        r = frame_append_unsubscribe(mux_control(session->mux), wanted->id);
        session_kick(session);
        free(wanted);
        return r;
}

static void rule_for_name(const char *name, char *rule, size_t n) {
        snprintf(rule, n, "type='signal',sender='%s'", name);
}

int rules_want_name(struct session *session, const char *name) {
        char rule[WIRE_NAME_MAX + 32];

        rule_for_name(name, rule, sizeof rule);
        return rules_want(session, rule);
}

int rules_unwant_name(struct session *session, const char *name) {
        char rule[WIRE_NAME_MAX + 32];

        rule_for_name(name, rule, sizeof rule);
        return rules_unwant(session, rule);
}

/* What the other bus wants */

/*
 * The bus has taken a rule: messages that came after the subscription go on. It is in force, then, for whatever they cause, as it is for a client who
 * asks for signals and then calls.
 */
static void on_added(void *userdata, const struct message *reply) {
        struct session *session = userdata;
        struct remote *remote;
        size_t iterator = 0;
        int r = 0;

        if (!reply || session->over)
                return;
        if (reply->type == MESSAGE_ERROR)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_ERROR", reply->error_name }), "The bus does not take a match rule for domain %u: %s",
                          session->options.domain, reply->error_name);
        if (--session->n_adding > 0)
                return;
        while (r >= 0 && (remote = table_next(session->remotes, &iterator)))
                r = in_held(session, remote);
        if (r < 0)
                session_fail(session, r, "go on with messages");
}

static int add_match(struct session *session, const char *text, struct rule **ret_rule) {
        struct rule *rule = malloc(sizeof *rule + strlen(text) + 1);
        int r;

        if (!rule)
                return -ENOMEM;
        rule->n = 0;
        strcpy(rule->text, text);
        r = table_add_string(session->rules, text, rule);
        if (r < 0) {
                free(rule);
                return r;
        }
        *ret_rule = rule;
        r = connection_call(session->listener, on_added, session, "AddMatch", "s", text);
        session->n_adding += r >= 0;
        return r;
}

/* Only signals, and none that are for others: what is refused is nobody's to hear. Writes the rule in its one form. */
static int check_rule(const struct frame_text *untrusted_rule, char *ret_text, size_t n) {
        struct match_error error;
        struct match *match;
        int r;

        r = match_new(&match, untrusted_rule->text, untrusted_rule->n, &error);
        if (r < 0)
                return r;
        if (match->type != MESSAGE_SIGNAL || match->eavesdrop || match->destination || strlen(match->text) >= n)
                r = -EINVAL;
        else
                strcpy(ret_text, match->text);
        match_free(match);
        return r;
}

int rules_subscribe(struct session *session, uint32_t id, const struct frame_text *untrusted_rule) {
        char text[WIRE_RULE_MAX + 1];
        struct rule *rule;
        int r;

        if (table_get_number(session->rules_by_id, id))
                return -EBADMSG;
        if (table_count(session->rules_by_id) >= WIRE_RULES_MAX)
                return -EMLINK;
        if (table_count(session->rules_by_id) >= guard_limit(session->options.guard, BRIDGE_LIMIT_SUBSCRIPTIONS)) {
                log_event(LOG_WARNING, NULL, "Domain %u has %zu subscriptions, which is its limit: not '%.*s'", session->options.domain,
                          table_count(session->rules_by_id), (int) untrusted_rule->n, untrusted_rule->text);
                return 0;
        }
        r = check_rule(untrusted_rule, text, sizeof text);
        if (r < 0) {
                log_event(LOG_WARNING, NULL, "Domain %u wants to hear of what nobody may: '%.*s'", session->options.domain,
                          (int) untrusted_rule->n, untrusted_rule->text);
                return 0;
        }
        rule = table_get_string(session->rules, text);
        if (!rule) {
                r = add_match(session, text, &rule);
                if (r < 0)
                        return r;
        }
        rule->n++;
        return table_add_number(session->rules_by_id, id, rule);
}

int rules_unsubscribe(struct session *session, uint32_t id) {
        struct rule *rule = table_remove_number(session->rules_by_id, id);

        if (!rule || --rule->n > 0)     /* one that was refused has no id here */
                return 0;
        table_remove_string(session->rules, rule->text);
        connection_call(session->listener, NULL, NULL, "RemoveMatch", "s", rule->text);
        free(rule);
        return 0;
}

void rules_done(struct session *session) {
        struct wanted *wanted;
        struct rule *rule;
        size_t iterator;

        for (iterator = 0; session->wanted && (wanted = table_next(session->wanted, &iterator));)
                free(wanted);
        for (iterator = 0; session->rules && (rule = table_next(session->rules, &iterator));)
                free(rule);
        table_free(session->wanted);
        table_free(session->rules);
        table_free(session->rules_by_id);
}
