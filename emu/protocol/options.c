/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Numbers and limits on command lines; see options.h. */

#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool option_parse_number(const char *text, uint32_t max, uint32_t *ret_number) {
        unsigned long number;
        char *end;

        /* strtoul would take blanks and signs. */
        if (text[0] < '0' || text[0] > '9')
                return false;

        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > max)
                return false;

        *ret_number = number;
        return true;
}

bool option_parse_limit(const char *text, struct emu_limits *limits) {
        const struct {
                const char *name;
                uint32_t *limit;
        } names[] = {
                { "handles=", &limits->handles }, { "ports=", &limits->ports },       { "shared-pages=", &limits->shared_pages },
                { "grants=", &limits->grants },   { "maptrack=", &limits->maptrack },
        };
        uint32_t number;

        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                size_t n = strlen(names[i].name);

                if (strncmp(text, names[i].name, n) != 0)
                        continue;
                if (!option_parse_number(text + n, UINT32_MAX, &number) || number == 0)
                        return false;
                *names[i].limit = number;
                return true;
        }
        return false;
}
