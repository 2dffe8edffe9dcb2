/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "problems.h"

#include "suggest.h"

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

char *problems_suggest(const char *text, const char *const *names) {
        const char *near = suggest_near(text, names);
        g_autofree char *all = g_strjoinv(", ", (char **) names);

        return near ? g_strdup_printf("did you mean %s?", near) : g_strdup_printf("there are: %s", all);
}
