/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "suggest.h"

#include <limits.h>
#include <string.h>

#include <glib.h>

#define NAME_MAX_COMPARED 64u

static unsigned least(unsigned a, unsigned b, unsigned c) {
        return MIN(a, MIN(b, c));
}

/* How many letters have to be put in, left out or changed; neighbours that have changed places count once. */
static unsigned distance(const char *a, const char *b) {
        unsigned row[3][NAME_MAX_COMPARED + 1] = {};
        size_t n_a = strlen(a), n_b = strlen(b);

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

const char *suggest_near(const char *text, const char *const *names) {
        g_autofree char *wanted = g_ascii_strdown(text, -1);
        unsigned best = UINT_MAX;
        const char *found = NULL;

        g_strdelimit(wanted, "-", '_');
        for (; *names; names++) {
                g_autofree char *name = g_ascii_strdown(*names, -1);
                unsigned away;

                g_strdelimit(name, "-", '_');
                away = distance(wanted, name);
                if (away < best) {
                        best = away;
                        found = *names;
                }
        }
        return found && best <= 1 + strlen(found) / 4 ? found : NULL;
}
