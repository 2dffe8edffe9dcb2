/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "parse-who.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DOMAIN_ID_MAX 32751u    /* xen/include/public/xen.h: from DOMID_FIRST_RESERVED, 0x7ff0, ids mean something else */
#define TYPE_MAX 32u
#define DOMAIN_NAME_MAX 255u

static const char kinds[] = "any, id=N, uuid=UUID, name=NAME or type=TYPE";

static int take_id(struct policy_line *line, const struct policy_word *value, struct who *who) {
        uint32_t id = 0;

        for (size_t i = 0; i < value->n; i++) {
                if (value->p[i] < '0' || value->p[i] > '9')
                        return policy_fail(line, value->column + i, "'%.*s' is not a domain's id", POLICY_SHOWN(value));
                id = 10 * id + (value->p[i] - '0');
                if (id > DOMAIN_ID_MAX)
                        return policy_fail(line, value->column, "%.*s is more than the largest id of a domain, %u", POLICY_SHOWN(value),
                                           DOMAIN_ID_MAX);
        }
        if (value->n == 0)
                return policy_fail(line, value->column, "a domain's id should be here");
        who->id = id;
        who->by_id = true;
        return 0;
}

static bool is_uuid(const char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23 ? p[i] != '-' : !isxdigit((unsigned char) p[i]))
                        return false;
        return n == 36;
}

static int take_uuid(struct policy_line *line, const struct policy_word *value, struct who *who) {
        if (!is_uuid(value->p, value->n))
                return policy_fail(line, value->column, "'%.*s' is not a UUID", POLICY_SHOWN(value));
        who->uuid = strndup(value->p, value->n);
        if (!who->uuid)
                return -ENOMEM;
        for (char *p = who->uuid; *p; p++)
                *p = tolower((unsigned char) *p);
        return 0;
}

static int take_name(struct policy_line *line, const struct policy_word *value, struct who *who) {
        const char *asterisk = memchr(value->p, '*', value->n);
        size_t n = value->n;

        if (asterisk) {
                if (asterisk != value->p + n - 1 || n == 1)
                        return policy_fail(line, value->column + (asterisk - value->p),
                                           "an asterisk can only be at the end of a name's beginning");
                who->name_begins = true;
                n--;
        }
        if (n == 0 || n > DOMAIN_NAME_MAX)
                return policy_fail(line, value->column, "a domain's name has 1 to %u bytes, this one %zu", DOMAIN_NAME_MAX, n);
        who->name = strndup(value->p, n);
        return who->name ? 0 : -ENOMEM;
}

static int take_type(struct policy_line *line, const struct policy_word *value, struct who *who) {
        for (size_t i = 0; i < value->n; i++)
                if (!islower((unsigned char) value->p[i]) && !isdigit((unsigned char) value->p[i]) && value->p[i] != '-')
                        return policy_fail(line, value->column + i, "a domain's type has lower-case letters, digits and dashes only");
        if (value->n == 0 || value->n > TYPE_MAX)
                return policy_fail(line, value->column, "a domain's type has 1 to %u bytes, this one %zu", TYPE_MAX, value->n);
        who->type = strndup(value->p, value->n);
        return who->type ? 0 : -ENOMEM;
}

static int take_condition(struct policy_line *line, const struct policy_word *condition, struct who *who) {
        const char *equals = memchr(condition->p, '=', condition->n);
        struct policy_word key, value;
        bool again = false;
        int r;

        if (!equals)
                return policy_fail(line, condition->column, "'%.*s' is none of %s", POLICY_SHOWN(condition), kinds);
        key = (struct policy_word) { .p = condition->p, .n = equals - condition->p, .column = condition->column };
        value = (struct policy_word) { .p = equals + 1, .n = condition->n - key.n - 1, .column = condition->column + key.n + 1 };
        if (policy_word_is(&key, "id"))
                r = (again = who->by_id) ? 0 : take_id(line, &value, who);
        else if (policy_word_is(&key, "uuid"))
                r = (again = who->uuid != NULL) ? 0 : take_uuid(line, &value, who);
        else if (policy_word_is(&key, "name"))
                r = (again = who->name != NULL) ? 0 : take_name(line, &value, who);
        else if (policy_word_is(&key, "type"))
                r = (again = who->type != NULL) ? 0 : take_type(line, &value, who);
        else
                return policy_fail(line, key.column, "'%.*s' is none of %s", POLICY_SHOWN(&key), kinds);
        if (again)
                return policy_fail(line, key.column, "'%.*s' is here twice; between two domains there is a blank, not a comma",
                                   POLICY_SHOWN(&key));
        return r;
}

/* Takes a word: conditions with commas between them, all of which must hold. */
static int take_who(struct policy_line *line, struct who *who) {
        const struct policy_word *word = NULL;
        size_t from = 0;
        int r;

        r = policy_take(line, kinds, &word);
        if (r < 0)
                return r;
        if (policy_word_is(word, "any"))
                return 0;
        for (;;) {
                const char *comma = memchr(word->p + from, ',', word->n - from);
                size_t end = comma ? (size_t) (comma - word->p) : word->n;
                const struct policy_word condition = { .p = word->p + from, .n = end - from, .column = word->column + from };

                r = take_condition(line, &condition, who);
                if (r < 0 || !comma)
                        return r;
                from = end + 1;
        }
}

int whos_take(struct policy_line *line, struct whos *whos) {
        do {
                struct who *who = reallocarray(whos->who, whos->n + 1, sizeof *who);
                int r;

                if (!who)
                        return -ENOMEM;
                whos->who = who;
                who[whos->n] = (struct who) {};
                r = take_who(line, &who[whos->n++]);
                if (r < 0)
                        return r;
        } while (line->at < line->n_words);
        return 0;
}
