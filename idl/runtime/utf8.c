/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "utf8.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The length of the character at s, which ends with a NUL; 0 if it is not one. RFC 3629, section 4. */
static size_t character_length(const unsigned char *s) {
        unsigned char low = 0x80, high = 0xbf;
        size_t n;

        if (s[0] < 0x80)
                return 1;
        if (s[0] >= 0xc2 && s[0] <= 0xdf)
                n = 2;
        else if (s[0] >= 0xe0 && s[0] <= 0xef)
                n = 3;
        else if (s[0] >= 0xf0 && s[0] <= 0xf4)
                n = 4;
        else
                return 0;

        if (s[0] == 0xe0)               /* shorter forms exist */
                low = 0xa0;
        else if (s[0] == 0xed)          /* surrogates */
                high = 0x9f;
        else if (s[0] == 0xf0)
                low = 0x90;
        else if (s[0] == 0xf4)          /* beyond U+10FFFF */
                high = 0x8f;

        for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
                if (s[i] < low || s[i] > high)
                        return 0;
        return n;
}

char *idl_utf8_copy(const char *s, size_t n_max) {
        const unsigned char *p = (const unsigned char *) (s ?: "");
        size_t n = 0, n_whole = strnlen((const char *) p, n_max);
        char *copy;

        copy = malloc(n_whole + 1);
        if (!copy)
                return NULL;
        while (n < n_whole) {
                size_t n_character = character_length(p + n);

                if (n_character > n_whole - n)
                        break;
                if (n_character == 0) {
                        copy[n++] = '?';
                        continue;
                }
                memcpy(copy + n, p + n, n_character);
                n += n_character;
        }
        copy[n] = '\0';
        return copy;
}
