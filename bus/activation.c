/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "activation.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-bus.h>

#include "cleanup.h"
#include "read-file.h"
#include "report.h"

#define ARGUMENTS_MAX 64

static const char suffix[] = ".service";

void activation_done(struct activation *activation) {
        for (char **p = activation->argv; p && *p; p++)
                free(*p);
        free(activation->argv);
        free(activation->name);
        free(activation->file);
        *activation = (struct activation) {};
}

void activations_done(struct activations *activations) {
        for (size_t i = 0; i < activations->n_items; i++)
                activation_done(&activations->items[i]);
        free(activations->items);
        *activations = (struct activations) {};
}

static int fail(struct activation_error *error, unsigned line, const char *text) {
        error->line = line;
        snprintf(error->text, sizeof error->text, "%s", text);
        return -EINVAL;
}

/*
 * Takes one word off a command line, as a shell would without anything to expand: '...' as it is, "..." with \ before " and \, and \
 * before any other byte. Writes it to word, which has room for all of the line. Returns 1, 0 at the end, or -EINVAL if a quote is open.
 */
static int take_argument(const char **p, char *word) {
        const char *s = *p;
        char quote = 0;

        while (*s == ' ' || *s == '\t')
                s++;
        if (!*s)
                return 0;
        for (; *s && (quote || (*s != ' ' && *s != '\t')); s++) {
                if (quote == '\'' ? *s == '\'' : (quote && *s == '"')) {
                        quote = 0;
                } else if (!quote && (*s == '\'' || *s == '"')) {
                        quote = *s;
                } else if (*s == '\\' && (!quote || (quote == '"' && (s[1] == '"' || s[1] == '\\')))) {
                        if (!*++s)
                                return -EINVAL;
                        *word++ = *s;
                } else {
                        *word++ = *s;
                }
        }
        *word = '\0';
        *p = s;
        return quote ? -EINVAL : 1;
}

static int parse_exec(const char *command, struct activation *activation, struct activation_error *error, unsigned line) {
        AUTO_FREE char *word = malloc(strlen(command) + 1);
        size_t n = 0;
        int r;

        activation->argv = calloc(ARGUMENTS_MAX + 1, sizeof *activation->argv);
        if (!word || !activation->argv)
                return -ENOMEM;
        while ((r = take_argument(&command, word)) > 0) {
                if (n == ARGUMENTS_MAX)
                        return fail(error, line, "Exec has too many arguments: 63 are the most");
                activation->argv[n] = strdup(word);
                if (!activation->argv[n++])
                        return -ENOMEM;
        }
        if (r < 0)
                return fail(error, line, "a quote in Exec is not closed, or a backslash is at its end");
        if (n == 0 || activation->argv[0][0] != '/')
                return fail(error, line, "Exec must begin with the absolute path of a program");
        return 0;
}

static int parse_entry(char *text, struct activation *activation, struct activation_error *error, unsigned line) {
        char *value = strchr(text, '=');

        if (!value)
                return fail(error, line, "neither [D-BUS Service], nor KEY=VALUE, nor a comment");
        *value++ = '\0';
        for (char *end = value - 1; end > text && end[-1] == ' ';)
                *--end = '\0';
        value += strspn(value, " \t");

        if (strcmp(text, "Name") == 0) {
                if (activation->name)
                        return fail(error, line, "a second Name");
                if (sd_bus_service_name_is_valid(value) <= 0 || value[0] == ':')
                        return fail(error, line, "Name is not a bus name");
                activation->name = strdup(value);
                return activation->name ? 0 : -ENOMEM;
        }
        if (strcmp(text, "Exec") == 0) {
                if (activation->argv)
                        return fail(error, line, "a second Exec");
                return parse_exec(value, activation, error, line);
        }
        return fail(error, line,
                    "a key other than Name and Exec: the brokers would not do the same with it (to change user, begin Exec with "
                    "/usr/bin/setpriv; to start a unit, with /usr/bin/systemctl start)");
}

static int parse_lines(char *text, struct activation *activation, struct activation_error *error) {
        bool in_section = false;
        unsigned line = 0;
        char *next;

        for (char *p = text; p; p = next) {
                size_t n;
                int r;

                line++;
                next = strchr(p, '\n');
                if (next)
                        *next++ = '\0';
                for (n = strlen(p); n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t' || p[n - 1] == '\r'); n--)
                        p[n - 1] = '\0';
                if (!*p || *p == '#')
                        continue;
                if (*p == '[') {
                        if (strcmp(p, "[D-BUS Service]") != 0 || in_section)
                                return fail(error, line, "the only section is [D-BUS Service], once");
                        in_section = true;
                        continue;
                }
                if (!in_section)
                        return fail(error, line, "this stands before [D-BUS Service]");
                r = parse_entry(p, activation, error, line);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Whether the file is called NAME.service. */
static bool is_named_after(const char *file, const char *name) {
        const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
        size_t n = strlen(name);

        return strncmp(base, name, n) == 0 && strcmp(base + n, suffix) == 0;
}

int activation_parse(const char *file, const char *text, size_t n_text, struct activation *ret_activation,
                     struct activation_error *ret_error) {
        __attribute__((cleanup(activation_done))) struct activation activation = {};
        AUTO_FREE char *copy = NULL;
        int r;

        if (memchr(text, '\0', n_text))
                return fail(ret_error, 0, "it holds a NUL byte");
        copy = strndup(text, n_text);
        activation.file = strdup(file);
        if (!copy || !activation.file)
                return -ENOMEM;
        r = parse_lines(copy, &activation, ret_error);
        if (r < 0)
                return r;
        if (!activation.name)
                return fail(ret_error, 0, "Name is missing");
        if (!activation.argv)
                return fail(ret_error, 0, "Exec is missing");
        if (!is_named_after(file, activation.name))
                return fail(ret_error, 0, "it must be called after its Name, with .service at the end");
        *ret_activation = activation;
        activation = (struct activation) {};
        return 0;
}

static bool is_known(const struct activations *activations, const char *name) {
        for (size_t i = 0; i < activations->n_items; i++)
                if (strcmp(activations->items[i].name, name) == 0)
                        return true;
        return false;
}

static int add_file(struct activations *activations, const char *file) {
        __attribute__((cleanup(activation_done))) struct activation activation = {};
        struct activation_error error = {};
        struct activation *items;
        AUTO_FREE char *text = NULL;
        size_t n;
        int r;

        r = read_file(file, &text, &n);
        if (r < 0) {
                report("cannot read the activation file %s: %s", file, strerror(-r));
                return r;
        }
        r = activation_parse(file, text, n, &activation, &error);
        if (r == -EINVAL && error.line > 0)
                report("%s:%u: %s", file, error.line, error.text);
        else if (r == -EINVAL)
                report("%s: %s", file, error.text);
        if (r < 0)
                return r;
        if (is_known(activations, activation.name))
                return 0;
        items = reallocarray(activations->items, activations->n_items + 1, sizeof *items);
        if (!items)
                return -ENOMEM;
        activations->items = items;
        items[activations->n_items++] = activation;
        activation = (struct activation) {};
        return 0;
}

static bool has_suffix(const char *name) {
        size_t n = strlen(name);

        return n > sizeof suffix - 1 && name[0] != '.' && strcmp(name + n - (sizeof suffix - 1), suffix) == 0;
}

int activations_add_directory(struct activations *activations, const char *directory) {
        AUTO_DIRECTORY *d = opendir(directory);
        const struct dirent *entry;

        if (!d) {
                if (errno == ENOENT)
                        return 0;
                report("cannot read the directory of activation files %s: %m", directory);
                return -errno;
        }
        while ((entry = readdir(d))) {
                AUTO_FREE char *file = NULL;
                int r;

                if (!has_suffix(entry->d_name))
                        continue;
                if (asprintf(&file, "%s/%s", directory, entry->d_name) < 0)
                        return -ENOMEM;
                r = add_file(activations, file);
                if (r < 0)
                        return r;
        }
        return 0;
}
