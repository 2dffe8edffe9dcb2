/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "wants.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

struct wants {
        struct table *rules;            /* struct match by its one form */
        size_t n_of_anybody;
};

int wants_new(struct wants **ret_wants) {
        struct wants *wants = calloc(1, sizeof *wants);
        int r;

        if (!wants)
                return -ENOMEM;
        r = table_new(&wants->rules);
        if (r < 0) {
                free(wants);
                return r;
        }
        *ret_wants = wants;
        return 0;
}

struct wants *wants_free(struct wants *wants) {
        struct match *match;
        size_t iterator = 0;

        if (!wants)
                return NULL;
        while ((match = table_next(wants->rules, &iterator)))
                match_free(match);
        table_free(wants->rules);
        free(wants);
        return NULL;
}

int wants_add(struct wants *wants, const char *rule, const struct match **ret_match) {
        struct match_error error;
        struct match *match;
        int r;

        r = match_new(&match, rule, strlen(rule), &error);
        if (r < 0)
                return r;
        r = table_add_string(wants->rules, match->text, match);
        if (r < 0) {
                match_free(match);
                return r;
        }
        wants->n_of_anybody += !match->sender;
        *ret_match = match;
        return 0;
}

struct match *wants_take(struct wants *wants, const char *rule) {
        struct match *match = table_remove_string(wants->rules, rule);

        if (match)
                wants->n_of_anybody -= !match->sender;
        return match;
}

size_t wants_count(const struct wants *wants) {
        return table_count(wants->rules);
}

size_t wants_count_of_anybody(const struct wants *wants) {
        return wants->n_of_anybody;
}

const struct match *wants_next(const struct wants *wants, size_t *iterator) {
        return table_next(wants->rules, iterator);
}
