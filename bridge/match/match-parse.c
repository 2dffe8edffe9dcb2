/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Reading match rules, and writing them in one form. */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "match.h"
#include "names.h"

struct reader {
        const char *p;
        size_t n;
        size_t at;
        struct match *match;
        char *values; /* where values go, with room for all of the rule: they are never longer than what they are read from */
        unsigned path_seen;             /* path and path_namespace exclude each other */
        bool eavesdrop_seen;
        struct match_error *error;
};

struct value {
        size_t column;                  /* of its first byte in the rule, from 0 */
        char *text;                     /* with a NUL after it */
        size_t n;
};

__attribute__((format(printf, 3, 4))) static int fail(const struct reader *reader, size_t at, const char *format, ...) {
        va_list args;

        reader->error->column = at + 1;
        va_start(args, format);
        vsnprintf(reader->error->text, sizeof reader->error->text, format, args);
        va_end(args);
        return -EINVAL;
}

/* For an error message: the whole of a text of a sane length, or its beginning. */
#define SHOWN(p, n) (int) ((n) < 60 ? (n) : 60), (p)

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_blanks(struct reader *reader) {
        while (reader->at < reader->n && is_blank(reader->p[reader->at]))
                reader->at++;
}

/* Reads a key and the = after it. Returns 1, 0 at the rule's end, or -EINVAL. */
static int read_key(struct reader *reader, size_t *ret_start, size_t *ret_n) {
        size_t start, end;

        skip_blanks(reader);
        if (reader->at == reader->n)
                return 0;
        start = reader->at;
        while (reader->at < reader->n && reader->p[reader->at] != '=' && !is_blank(reader->p[reader->at]))
                reader->at++;
        end = reader->at;
        if (end == start)
                return fail(reader, start, "a key should be before this =");
        skip_blanks(reader);
        if (reader->at == reader->n || reader->p[reader->at] != '=')
                return fail(reader, reader->at, "= should be here, after the key '%.*s'", SHOWN(reader->p + start, end - start));
        reader->at++;
        *ret_start = start;
        *ret_n = end - start;
        return 1;
}

/*
 * Reads a value, and the comma after it. Within apostrophes all is meant as it is. Outside, so is what follows a backslash, which itself
 * goes only if that is an apostrophe. Such pieces may follow each other.
 */
static int read_value(struct reader *reader, struct value *ret_value) {
        struct value value = { .column = reader->at, .text = reader->values };
        size_t quoted_from = 0;
        bool quoted = false;

        for (; reader->at < reader->n; reader->at++) {
                char c = reader->p[reader->at];

                if (c == '\'') {
                        quoted = !quoted;
                        quoted_from = reader->at;
                        continue;
                }
                if (!quoted && c == ',')
                        break;
                if (!quoted && c == '\\' && reader->at + 1 < reader->n) {
                        if (reader->p[++reader->at] != '\'')
                                value.text[value.n++] = c;
                        c = reader->p[reader->at];
                }
                value.text[value.n++] = c;
        }
        if (quoted)
                return fail(reader, quoted_from, "the apostrophe that closes this one is missing");
        reader->at += reader->at < reader->n;   /* the comma */
        value.text[value.n] = '\0';
        reader->values += value.n + 1;
        *ret_value = value;
        return 0;
}

static int set_type(struct reader *reader, const struct value *value) {
        for (unsigned type = MESSAGE_METHOD_CALL; type <= MESSAGE_SIGNAL; type++)
                if (strcmp(value->text, message_type_name(type)) == 0) {
                        reader->match->type = type;
                        return 0;
                }
        return fail(reader, value->column, "'%.*s' is none of method_call, method_return, error and signal", SHOWN(value->text, value->n));
}

static int set_eavesdrop(struct reader *reader, const struct value *value) {
        reader->match->eavesdrop = strcmp(value->text, "true") == 0;
        if (!reader->match->eavesdrop && strcmp(value->text, "false") != 0)
                return fail(reader, value->column, "'%.*s' is neither true nor false", SHOWN(value->text, value->n));
        reader->eavesdrop_seen = true;
        return 0;
}

static const struct field {
        const char *key;
        size_t offset;
        bool (*is_valid)(const char *p, size_t n);
        const char *what;
} fields[] = {
        { "sender", offsetof(struct match, sender), name_is_bus_name, "a bus name" },
        { "interface", offsetof(struct match, interface), name_is_interface, "an interface's name" },
        { "member", offsetof(struct match, member), name_is_member, "a method's or signal's name" },
        { "path", offsetof(struct match, path), name_is_path, "an object path" },
        { "path_namespace", offsetof(struct match, path_namespace), name_is_path, "an object path" },
        { "destination", offsetof(struct match, destination), name_is_bus_name, "a bus name" },
};

#define N_FIELDS (sizeof fields / sizeof *fields)

static const char **field_of(struct match *match, const struct field *field) {
        return (const char **) ((char *) match + field->offset);
}

static int set_field(struct reader *reader, const struct field *field, const struct value *value) {
        if (!field->is_valid(value->text, value->n))
                return fail(reader, value->column, "'%.*s' is not %s", SHOWN(value->text, value->n), field->what);
        *field_of(reader->match, field) = value->text;
        return 0;
}

/* Reads a key such as arg12path. Returns the argument's number and kind, or a number that is no argument's. */
static unsigned arg_of(const char *key, size_t n, enum match_arg_kind *ret_kind) {
        unsigned number = 0;
        size_t i = 3;

        for (; i < n && key[i] >= '0' && key[i] <= '9'; i++) {
                if (i == 5 || (i == 4 && key[3] == '0'))
                        return MESSAGE_ARGS_MAX;
                number = 10 * number + (key[i] - '0');
        }
        if (i == 3 || number >= MESSAGE_ARGS_MAX)
                return MESSAGE_ARGS_MAX;
        if (i == n)
                *ret_kind = MATCH_ARG_STRING;
        else if (n - i == 4 && memcmp(key + i, "path", 4) == 0)
                *ret_kind = MATCH_ARG_PATH;
        else if (number == 0 && n - i == 9 && memcmp(key + i, "namespace", 9) == 0)
                *ret_kind = MATCH_ARG_NAMESPACE;
        else
                return MESSAGE_ARGS_MAX;
        return number;
}

static int set_arg(struct reader *reader, size_t key, size_t n_key, const struct value *value) {
        enum match_arg_kind kind = MATCH_ARG_NONE;
        unsigned number = arg_of(reader->p + key, n_key, &kind);
        struct match *match = reader->match;

        if (number == MESSAGE_ARGS_MAX)
                return fail(reader, key, "'%.*s' is no argument: there are arg0 to arg63, arg0path to arg63path, and arg0namespace",
                            SHOWN(reader->p + key, n_key));
        if (match->args[number].kind != MATCH_ARG_NONE)
                return fail(reader, key, "argument %u is matched twice", number);
        if (!name_is_utf8(value->text, value->n))
                return fail(reader, value->column, "this value is not UTF-8");
        if (kind == MATCH_ARG_NAMESPACE && !name_is_namespace(value->text, value->n))
                return fail(reader, value->column, "'%.*s' is neither a bus name nor the beginning of one", SHOWN(value->text, value->n));
        match->args[number] = (struct match_arg) { .kind = kind, .value = value->text };
        if (number >= match->n_args)
                match->n_args = number + 1;
        return 0;
}

static int set_key(struct reader *reader, size_t key, size_t n_key, const struct value *value) {
        const char *name = reader->p + key;
        struct match *match = reader->match;

        for (size_t i = 0; i < N_FIELDS; i++) {
                if (strlen(fields[i].key) != n_key || memcmp(fields[i].key, name, n_key) != 0)
                        continue;
                if (*field_of(match, &fields[i]))
                        return fail(reader, key, "'%s' is here twice", fields[i].key);
                if ((match->path || match->path_namespace) && fields[i].is_valid == name_is_path)
                        return fail(reader, key, "path and path_namespace exclude each other");
                return set_field(reader, &fields[i], value);
        }
        if (n_key == 4 && memcmp(name, "type", 4) == 0)
                return match->type ? fail(reader, key, "'type' is here twice") : set_type(reader, value);
        if (n_key == 9 && memcmp(name, "eavesdrop", 9) == 0)
                return reader->eavesdrop_seen ? fail(reader, key, "'eavesdrop' is here twice") : set_eavesdrop(reader, value);
        if (n_key >= 3 && memcmp(name, "arg", 3) == 0)
                return set_arg(reader, key, n_key, value);
        return fail(reader, key, "no rule has a key '%.*s'", SHOWN(name, n_key));
}

static int read_rule(struct reader *reader) {
        for (;;) {
                struct value value = {};
                size_t key = 0, n_key = 0;
                int r;

                r = read_key(reader, &key, &n_key);
                if (r <= 0)
                        return r;
                r = read_value(reader, &value);
                if (r < 0)
                        return r;
                r = set_key(reader, key, n_key, &value);
                if (r < 0)
                        return r;
        }
}

/* The one form. An apostrophe in a value ends the quoting, comes with a backslash, and begins it again. */
static void write_pair(FILE *f, const char *key, const char *value) {
        fprintf(f, "%s%s='", ftell(f) > 0 ? "," : "", key);
        for (; *value; value++)
                if (*value == '\'')
                        fputs("'\\''", f);
                else
                        fputc(*value, f);
        fputc('\'', f);
}

static void write_args(FILE *f, const struct match *match) {
        static const char *const suffixes[] = { [MATCH_ARG_STRING] = "", [MATCH_ARG_PATH] = "path", [MATCH_ARG_NAMESPACE] = "namespace" };

        for (unsigned i = 0; i < match->n_args; i++) {
                char key[20];

                if (match->args[i].kind == MATCH_ARG_NONE)
                        continue;
                snprintf(key, sizeof key, "arg%u%s", i, suffixes[match->args[i].kind]);
                write_pair(f, key, match->args[i].value);
        }
}

static int write_rule(struct match *match, char **ret_text) {
        char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        if (!f)
                return -ENOMEM;
        if (match->type)
                write_pair(f, "type", message_type_name(match->type));
        for (size_t i = 0; i < N_FIELDS; i++)
                if (*field_of(match, &fields[i]))
                        write_pair(f, fields[i].key, *field_of(match, &fields[i]));
        write_args(f, match);
        if (match->eavesdrop)           /* if not, that is what a rule means that does not say so */
                write_pair(f, "eavesdrop", "true");
        if (ferror(f) | fclose(f)) {
                free(text);
                return -ENOMEM;
        }
        *ret_text = text;
        return 0;
}

int match_broadcasts_of(const struct match *match, const char *sender, char **ret_text) {
        struct match copy = *match;

        if (copy.destination || (copy.type != 0 && copy.type != MESSAGE_SIGNAL))
                return -ENOENT;
        copy.type = MESSAGE_SIGNAL;
        copy.eavesdrop = false;         /* it only adds what is for others */
        if (sender)
                copy.sender = sender;
        return write_rule(&copy, ret_text);
}

static void match_freep(struct match **match) {
        match_free(*match);
}

int match_new(struct match **ret_match, const char *text, size_t n, struct match_error *ret_error) {
        __attribute__((cleanup(match_freep))) struct match *match = NULL;
        struct reader reader = { .p = text, .n = n, .error = ret_error };
        int r;

        if (n > MATCH_TEXT_MAX)
                return fail(&reader, MATCH_TEXT_MAX, "a rule has at most %u bytes, this one %zu", MATCH_TEXT_MAX, n);
        if (memchr(text, '\0', n))
                return fail(&reader, strlen(text), "a NUL has no place here");
        match = calloc(1, sizeof *match + n + 1);       /* as many values as keys, and each key is longer than the NUL after its value */
        if (!match)
                return -ENOMEM;
        reader.match = match;
        reader.values = (char *) (match + 1);
        r = read_rule(&reader);
        if (r < 0)
                return r;
        r = write_rule(match, &match->text);
        if (r < 0)
                return r;
        if (strlen(match->text) > MATCH_TEXT_MAX)
                return fail(&reader, 0, "a rule has at most %u bytes, this one %zu with all its values in apostrophes", MATCH_TEXT_MAX,
                            strlen(match->text));
        *ret_match = match;
        match = NULL;
        return 0;
}
