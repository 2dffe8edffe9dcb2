/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading policy files; docs/bus.md, "Policy", has the grammar. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "policy.h"

#define WORDS_MAX 64            /* a line longer than this is no statement anybody meant to write */

struct word {
        const char *p;
        size_t n;
        unsigned column;
};

struct line {
        struct word words[WORDS_MAX];
        size_t n_words;
        size_t at;              /* the word to be read next */
        unsigned number;
        unsigned end_column;    /* where a word that is missing should have been */
        struct policy_error *error;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct line *line, unsigned column, const char *format, ...) {
        va_list args;

        line->error->line = line->number;
        line->error->column = column;
        va_start(args, format);
        vsnprintf(line->error->text, sizeof line->error->text, format, args);
        va_end(args);
        return -EINVAL;
}

/* For an error message: the whole of a word of a sane length, or its beginning. */
#define SHOWN(word) (int) ((word)->n < 60 ? (word)->n : 60), (word)->p

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

static bool word_is(const struct word *word, const char *text) {
        return word->n == strlen(text) && memcmp(word->p, text, word->n) == 0;
}

/* Cuts a line into words, up to a comment. */
static int split(struct line *line, const char *p, size_t n) {
        size_t i = 0;

        line->n_words = line->at = 0;
        for (;;) {
                while (i < n && is_blank(p[i]))
                        i++;
                line->end_column = i + 1;
                if (i == n || p[i] == '#')
                        return 0;
                if (line->n_words == WORDS_MAX)
                        return fail(line, i + 1, "more than %d words in a line", WORDS_MAX);

                struct word *word = &line->words[line->n_words++];
                *word = (struct word) { .p = p + i, .column = i + 1 };
                while (i < n && !is_blank(p[i])) {
                        if (p[i] <= ' ' || p[i] > '~')
                                return fail(line, i + 1, "byte 0x%02x has no place here: only comments may hold what is not ASCII",
                                            (unsigned char) p[i]);
                        i++;
                }
                word->n = p + i - word->p;
        }
}

/* Takes the next word. what says, for the error message, what it should be. */
static int take(struct line *line, const char *what, const struct word **ret_word) {
        if (line->at == line->n_words)
                return fail(line, line->end_column, "the line ends where %s should be", what);
        *ret_word = &line->words[line->at++];
        return 0;
}

/* Whether the next word is this one; if so, it is taken. */
static bool take_if(struct line *line, const char *text) {
        if (line->at == line->n_words || !word_is(&line->words[line->at], text))
                return false;
        line->at++;
        return true;
}

/* Takes a word that must be valid, and copies it. */
static int take_valid(struct line *line, const char *what, int (*is_valid)(const char *text), char **ret_text) {
        const struct word *word = NULL;
        AUTO_FREE char *text = NULL;
        int r;

        r = take(line, what, &word);
        if (r < 0)
                return r;
        text = strndup(word->p, word->n);
        if (!text)
                return -ENOMEM;
        if (is_valid(text) <= 0)
                return fail(line, word->column, "'%.*s' is not %s", SHOWN(word), what);
        *ret_text = text;
        text = NULL;
        return 0;
}

static int parse_number(struct line *line, const struct word *word, uint64_t max, uint64_t *ret_value) {
        uint64_t value = 0, unit = 1;
        size_t n = word->n;

        switch (n > 0 ? word->p[n - 1] : 0) {
        case 'K': unit = UINT64_C(1) << 10; n--; break;
        case 'M': unit = UINT64_C(1) << 20; n--; break;
        case 'G': unit = UINT64_C(1) << 30; n--; break;
        }
        if (n == 0)
                return fail(line, word->column, "'%.*s' is not a number", SHOWN(word));
        for (size_t i = 0; i < n; i++) {
                if (word->p[i] < '0' || word->p[i] > '9')
                        return fail(line, word->column + i, "'%.*s' is not a number: digits, then nothing or K, M or G", SHOWN(word));
                if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, word->p[i] - '0', &value))
                        value = UINT64_MAX;     /* stays there: the next digit overflows again, or the bound below refuses it */
        }
        if (__builtin_mul_overflow(value, unit, &value) || value > max)
                return fail(line, word->column, "%.*s is more than the most this limit can be, %llu", SHOWN(word),
                            (unsigned long long) max);
        if (value == 0)
                return fail(line, word->column, "a limit of 0 would let nothing through");
        *ret_value = value;
        return 0;
}

static int parse_limit(struct line *line, struct policy *policy) {
        const struct word *name = NULL, *value = NULL;
        int r, limit;

        r = take(line, "the name of a limit", &name);
        if (r < 0)
                return r;
        limit = limit_find(name->p, name->n);
        if (limit < 0)
                return fail(line, name->column, "there is no limit '%.*s'", SHOWN(name));
        r = take(line, "a number", &value);
        if (r < 0)
                return r;
        r = parse_number(line, value, limit_kinds[limit].max, &policy->limits[limit]);
        if (r < 0)
                return r;
        if (line->at < line->n_words)
                return fail(line, line->words[line->at].column, "the line should end here, after the number");
        return 0;
}

static int name_is_valid(const char *text) {
        return sd_bus_service_name_is_valid(text) > 0 && text[0] != ':';
}

/* Takes a name, NAME.* or *. */
static int take_name(struct line *line, struct grant *grant) {
        const struct word *word = NULL;
        AUTO_FREE char *text = NULL;
        size_t n;
        int r;

        r = take(line, "a bus name", &word);
        if (r < 0)
                return r;
        if (word_is(word, "*")) {
                if (grant->kind == GRANT_OWN)
                        return fail(line, word->column, "whoever owns every name is every service; name one, or one with .* at its end");
                return 0;
        }
        n = word->n;
        if (n > 2 && memcmp(word->p + n - 2, ".*", 2) == 0) {
                if (grant->kind != GRANT_OWN)
                        return fail(line, word->column + n - 1, "only names to own can end in .*: not all brokers know it for messages");
                grant->below = true;
                n -= 2;
        }
        text = strndup(word->p, n);
        if (!text)
                return -ENOMEM;
        if (!name_is_valid(text))
                return fail(line, word->column, "'%.*s' is not a bus name", SHOWN(word));
        grant->name = text;
        text = NULL;
        return 0;
}

static int take_qualifiers(struct line *line, struct grant *grant) {
        for (;;) {
                unsigned column = line->at < line->n_words ? line->words[line->at].column : 0;
                char **field;
                int r;

                if (take_if(line, "path"))
                        field = &grant->path;
                else if (take_if(line, "interface"))
                        field = &grant->interface;
                else if (take_if(line, "member"))
                        field = &grant->member;
                else
                        return 0;
                if (*field)
                        return fail(line, column, "this is the second of its kind in a line");

                if (field == &grant->path)
                        r = take_valid(line, "an object path", sd_bus_object_path_is_valid, field);
                else if (field == &grant->interface)
                        r = take_valid(line, "an interface name", sd_bus_interface_name_is_valid, field);
                else
                        r = take_valid(line, "a method's or signal's name", sd_bus_member_name_is_valid, field);
                if (r < 0)
                        return r;
        }
}

static int who_is_valid(const char *text) {
        return strlen(text) <= 256 && strpbrk(text, ":,/\"'<>&") == NULL;
}

static int take_subject(struct line *line, struct grant *grant) {
        const struct word *word = NULL;
        int r;

        r = take(line, "everyone, owner, user NAME or group NAME", &word);
        if (r < 0)
                return r;
        if (word_is(word, "everyone"))
                grant->subject = SUBJECT_EVERYONE;
        else if (word_is(word, "owner"))
                grant->subject = SUBJECT_OWNER;
        else if (word_is(word, "user"))
                grant->subject = SUBJECT_USER;
        else if (word_is(word, "group"))
                grant->subject = SUBJECT_GROUP;
        else
                return fail(line, word->column, "'%.*s' is none of everyone, owner, user NAME and group NAME", SHOWN(word));

        if (grant->subject == SUBJECT_USER)
                return take_valid(line, "a user's name or number", who_is_valid, &grant->who);
        if (grant->subject == SUBJECT_GROUP)
                return take_valid(line, "a group's name or number", who_is_valid, &grant->who);
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

static int take_kind(struct line *line, struct grant *grant) {
        const struct word *word = NULL;
        int r;

        r = take(line, "own, call or hear", &word);
        if (r < 0)
                return r;
        if (word_is(word, "own"))
                grant->kind = GRANT_OWN;
        else if (word_is(word, "call"))
                grant->kind = GRANT_CALL;
        else if (word_is(word, "hear"))
                grant->kind = GRANT_HEAR;
        else
                return fail(line, word->column, "'%.*s' is none of own, call and hear", SHOWN(word));
        return 0;
}

static void model_done(struct grant *model) {
        free(model->name);
        free(model->path);
        free(model->interface);
        free(model->member);
}

static int parse_allow(struct line *line, struct policy *policy) {
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
        if (!take_if(line, "to")) {
                if (line->at == line->n_words)
                        return fail(line, line->end_column, "the line ends where 'to' should be: to whom is this granted?");
                return fail(line, line->words[line->at].column, "'%.*s' stands where 'to'%s should be", SHOWN(&line->words[line->at]),
                            model.kind == GRANT_OWN ? "" : ", path, interface or member");
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

static int parse_line(struct line *line, struct policy *policy) {
        const struct word *word = NULL;
        int r;

        r = take(line, "allow or limit", &word);
        if (r < 0)
                return r;
        if (word_is(word, "allow"))
                return parse_allow(line, policy);
        if (word_is(word, "limit"))
                return parse_limit(line, policy);
        if (word_is(word, "deny"))
                return fail(line, word->column, "there is no deny: what is not allowed is denied already");
        return fail(line, word->column, "a line begins with allow or limit, not with '%.*s'", SHOWN(word));
}

int policy_parse(struct policy *policy, const char *text, size_t n_text, struct policy_error *ret_error) {
        struct line line = { .error = ret_error };
        int r;

        for (size_t start = 0; start < n_text;) {
                const char *newline = memchr(text + start, '\n', n_text - start);
                size_t end = newline ? (size_t) (newline - text) : n_text;

                line.number++;
                r = split(&line, text + start, end - start);
                if (r < 0)
                        return r;
                if (line.n_words > 0) {
                        r = parse_line(&line, policy);
                        if (r < 0)
                                return r;
                }
                start = end + 1;
        }
        return 0;
}
