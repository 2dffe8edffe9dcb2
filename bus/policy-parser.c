/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading policy files; docs/bus.md, "Policy", has the grammar. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "policy-words.h"
#include "policy.h"

static int parse_limit(struct policy_line *line, struct policy *policy) {
        const struct policy_word *name = NULL, *value = NULL;
        int r, limit;

        r = policy_take(line, "the name of a limit", &name);
        if (r < 0)
                return r;
        limit = limit_find(name->p, name->n);
        if (limit < 0)
                return policy_fail(line, name->column, "there is no limit '%.*s'", POLICY_SHOWN(name));
        r = policy_take(line, "a number", &value);
        if (r < 0)
                return r;
        r = policy_read_number(line, value, limit_kinds[limit].max, &policy->limits[limit]);
        if (r < 0)
                return r;
        if (line->at < line->n_words)
                return policy_fail(line, line->words[line->at].column, "the line should end here, after the number");
        return 0;
}

static int name_is_valid(const char *text) {
        return sd_bus_service_name_is_valid(text) > 0 && text[0] != ':';
}

/* Takes a name, NAME.* or *. */
static int take_name(struct policy_line *line, struct grant *grant) {
        const struct policy_word *word = NULL;
        AUTO_FREE char *text = NULL;
        size_t n;
        int r;

        r = policy_take(line, "a bus name", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "*")) {
                if (grant->kind == GRANT_OWN)
                        return policy_fail(line, word->column,
                                           "whoever owns every name is every service; name one, or one with .* at its end");
                return 0;
        }
        n = word->n;
        if (n > 2 && memcmp(word->p + n - 2, ".*", 2) == 0) {
                if (grant->kind != GRANT_OWN)
                        return policy_fail(line, word->column + n - 1,
                                           "only names to own can end in .*: not all brokers know it for messages");
                grant->below = true;
                n -= 2;
        }
        text = strndup(word->p, n);
        if (!text)
                return -ENOMEM;
        if (!name_is_valid(text))
                return policy_fail(line, word->column, "'%.*s' is not a bus name", POLICY_SHOWN(word));
        grant->name = text;
        text = NULL;
        return 0;
}

static int take_qualifiers(struct policy_line *line, struct grant *grant) {
        for (;;) {
                unsigned column = line->at < line->n_words ? line->words[line->at].column : 0;
                char **field;
                int r;

                if (policy_take_if(line, "path"))
                        field = &grant->path;
                else if (policy_take_if(line, "interface"))
                        field = &grant->interface;
                else if (policy_take_if(line, "member"))
                        field = &grant->member;
                else
                        return 0;
                if (*field)
                        return policy_fail(line, column, "this is the second of its kind in a line");

                if (field == &grant->path)
                        r = policy_take_valid(line, "an object path", sd_bus_object_path_is_valid, field);
                else if (field == &grant->interface)
                        r = policy_take_valid(line, "an interface name", sd_bus_interface_name_is_valid, field);
                else
                        r = policy_take_valid(line, "a method's or signal's name", sd_bus_member_name_is_valid, field);
                if (r < 0)
                        return r;
        }
}

static int who_is_valid(const char *text) {
        return strlen(text) <= 256 && strpbrk(text, ":,/\"'<>&") == NULL;
}

static const char domains[] = "98288";  /* bridge/domain-user.h, DOMAIN_GROUP: the bridge's connections for other domains */

static int take_subject(struct policy_line *line, struct grant *grant) {
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "everyone, owner, domains, user NAME or group NAME", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "everyone"))
                grant->subject = SUBJECT_EVERYONE;
        else if (policy_word_is(word, "owner"))
                grant->subject = SUBJECT_OWNER;
        else if (policy_word_is(word, "domains")) {
                grant->subject = SUBJECT_GROUP;
                grant->who = strdup(domains);
                return grant->who ? 0 : -ENOMEM;
        } else if (policy_word_is(word, "user"))
                grant->subject = SUBJECT_USER;
        else if (policy_word_is(word, "group"))
                grant->subject = SUBJECT_GROUP;
        else
                return policy_fail(line, word->column, "'%.*s' is none of everyone, owner, domains, user NAME and group NAME", POLICY_SHOWN(word));

        if (grant->subject == SUBJECT_USER)
                return policy_take_valid(line, "a user's name or number", who_is_valid, &grant->who);
        if (grant->subject == SUBJECT_GROUP)
                return policy_take_valid(line, "a group's name or number", who_is_valid, &grant->who);
        return 0;
}

static char *copy(const char *text, int *r) {
        char *copied = text ? strdup(text) : NULL;

        if (text && !copied)
                *r = -ENOMEM;
        return copied;
}

/* Makes room for one grant more and puts a copy of what is granted there. It belongs to the policy at once, so nothing leaks. */
static int add_grant(struct policy *policy, const struct grant *model, struct grant **ret_grant) {
        struct grant *grants, *grant;
        int r = 0;

        grants = reallocarray(policy->grants, policy->n_grants + 1, sizeof *grants);
        if (!grants)
                return -ENOMEM;
        policy->grants = grants;
        grant = &grants[policy->n_grants++];
        *grant = (struct grant) { .kind = model->kind, .below = model->below, .line = model->line };
        grant->name = copy(model->name, &r);
        grant->path = copy(model->path, &r);
        grant->interface = copy(model->interface, &r);
        grant->member = copy(model->member, &r);
        *ret_grant = grant;
        return r;
}

static int take_kind(struct policy_line *line, struct grant *grant) {
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "own, call or hear", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "own"))
                grant->kind = GRANT_OWN;
        else if (policy_word_is(word, "call"))
                grant->kind = GRANT_CALL;
        else if (policy_word_is(word, "hear"))
                grant->kind = GRANT_HEAR;
        else
                return policy_fail(line, word->column, "'%.*s' is none of own, call and hear", POLICY_SHOWN(word));
        return 0;
}

static void model_done(struct grant *model) {
        free(model->name);
        free(model->path);
        free(model->interface);
        free(model->member);
}

static int parse_allow(struct policy_line *line, struct policy *policy) {
        __attribute__((cleanup(model_done))) struct grant model = { .line = line->number };
        int r;

        r = take_kind(line, &model);
        if (r < 0)
                return r;
        r = take_name(line, &model);
        if (r < 0)
                return r;
        if (model.kind != GRANT_OWN) {
                r = take_qualifiers(line, &model);
                if (r < 0)
                        return r;
        }
        if (!policy_take_if(line, "to")) {
                if (line->at == line->n_words)
                        return policy_fail(line, line->end_column, "the line ends where 'to' should be: to whom is this granted?");
                return policy_fail(line, line->words[line->at].column, "'%.*s' stands where 'to'%s should be",
                                   POLICY_SHOWN(&line->words[line->at]), model.kind == GRANT_OWN ? "" : ", path, interface or member");
        }
        do {
                struct grant *grant;

                r = add_grant(policy, &model, &grant);
                if (r < 0)
                        return r;
                r = take_subject(line, grant);
                if (r < 0)
                        return r;
        } while (line->at < line->n_words);
        return 0;
}

static int parse_line(struct policy_line *line, struct policy *policy) {
        const struct policy_word *word = NULL;
        int r;

        r = policy_take(line, "allow or limit", &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "allow"))
                return parse_allow(line, policy);
        if (policy_word_is(word, "limit"))
                return parse_limit(line, policy);
        if (policy_word_is(word, "deny"))
                return policy_fail(line, word->column, "there is no deny: what is not allowed is denied already");
        return policy_fail(line, word->column, "a line begins with allow or limit, not with '%.*s'", POLICY_SHOWN(word));
}

int policy_parse(struct policy *policy, const char *text, size_t n_text, struct policy_error *ret_error) {
        struct policy_line line;
        int r;

        policy_begin(&line, text, n_text, ret_error);
        while ((r = policy_next_line(&line)) > 0) {
                r = parse_line(&line, policy);
                if (r < 0)
                        return r;
        }
        return r;
}
