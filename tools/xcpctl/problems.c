/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "problems.h"

#include <string.h>

#define NAME_MAX_COMPARED 64u

struct problems *problems_new(const char *file) {
        struct problems *problems = g_new(struct problems, 1);

        *problems = (struct problems) { .file = g_strdup(file), .list = g_array_new(FALSE, FALSE, sizeof(struct problem)) };
        return problems;
}

void problems_free(struct problems *problems) {
        if (!problems)
                return;
        for (unsigned i = 0; i < problems->list->len; i++) {
                g_free(g_array_index(problems->list, struct problem, i).message);
                g_free(g_array_index(problems->list, struct problem, i).hint);
        }
        g_array_unref(problems->list);
        g_free(problems->file);
        g_free(problems);
}

void problems_add(struct problems *problems, struct place place, char *hint, const char *format, ...) {
        struct problem problem = { .place = place, .hint = hint };
        g_autofree char *cut = NULL;    /* maybe in the middle of a character, where the format has a precision */
        va_list arguments;

        if (problems->list->len == PROBLEMS_MAX) {
                problems->n_more++;
                g_free(hint);
                return;
        }
        va_start(arguments, format);
        cut = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        problem.message = g_utf8_make_valid(cut, -1);
        g_array_append_val(problems->list, problem);
}

bool problems_is_empty(const struct problems *problems) {
        return problems->list->len == 0;
}

static int compare(const void *a, const void *b) {
        const struct problem *one = a, *other = b;

        if (one->place.line != other->place.line)
                return one->place.line < other->place.line ? -1 : 1;
        return (one->place.column > other->place.column) - (one->place.column < other->place.column);
}

char *problems_text(const struct problems *problems) {
        GString *text = g_string_new(NULL);

        g_array_sort(problems->list, compare);
        for (unsigned i = 0; i < problems->list->len; i++) {
                const struct problem *problem = &g_array_index(problems->list, struct problem, i);

                g_string_append_printf(text, "%s%s:%u:%u: %s", i > 0 ? "\n" : "", problems->file, problem->place.line, problem->place.column,
                                       problem->message);
                if (problem->hint)
                        g_string_append_printf(text, "\n    %s", problem->hint);
        }
        if (problems->n_more > 0)
                g_string_append_printf(text, "\n%s: and %u more", problems->file, problems->n_more);
        return g_string_free(text, FALSE);
}

struct json_object *problems_json(const struct problems *problems) {
        struct json_object *list = json_object_new_array();

        g_array_sort(problems->list, compare);
        for (unsigned i = 0; i < problems->list->len; i++) {
                const struct problem *problem = &g_array_index(problems->list, struct problem, i);
                struct json_object *one = json_object_new_object();

                json_object_object_add(one, "line", json_object_new_int64(problem->place.line));
                json_object_object_add(one, "column", json_object_new_int64(problem->place.column));
                json_object_object_add(one, "message", json_object_new_string(problem->message));
                json_object_object_add(one, "hint", json_object_new_string(problem->hint ? problem->hint : ""));
                json_object_array_add(list, one);
        }
        return list;
}

static unsigned least(unsigned a, unsigned b, unsigned c) {
        return MIN(a, MIN(b, c));
}

/* How many letters have to be put in, left out or changed; neighbours that have changed places count once. */
static unsigned distance(const char *a, const char *b) {
        unsigned row[3][NAME_MAX_COMPARED + 1] = {};
        unsigned n_a = (unsigned) strlen(a), n_b = (unsigned) strlen(b);

        if (n_a > NAME_MAX_COMPARED || n_b > NAME_MAX_COMPARED)
                return UINT_MAX;
        for (unsigned k = 0; k <= n_b; k++)
                row[0][k] = k;
        for (unsigned i = 1; i <= n_a; i++) {
                unsigned *now = row[i % 3];
                const unsigned *before = row[(i + 2) % 3], *twice_before = row[(i + 1) % 3];

                now[0] = i;
                for (unsigned k = 1; k <= n_b; k++) {
                        now[k] = least(before[k] + 1, now[k - 1] + 1, before[k - 1] + (a[i - 1] != b[k - 1]));
                        if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1])
                                now[k] = MIN(now[k], twice_before[k - 2] + 1);
                }
        }
        return row[n_a % 3][n_b];
}

char *problems_suggest(const char *text, const char *const *names) {
        g_autofree char *wanted = g_ascii_strdown(text, -1), *all = g_strjoinv(", ", (char **) names);
        unsigned best = UINT_MAX;
        const char *found = NULL;

        g_strdelimit(wanted, "-", '_');
        for (; *names; names++) {
                g_autofree char *name = g_ascii_strdown(*names, -1);
                unsigned away = distance(wanted, name);

                if (away < best) {
                        best = away;
                        found = *names;
                }
        }
        if (found && best <= 1 + strlen(found) / 4)
                return g_strdup_printf("did you mean %s?", found);
        return g_strdup_printf("there are: %s", all);
}
