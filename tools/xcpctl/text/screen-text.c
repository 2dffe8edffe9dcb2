/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "screen-text.h"

#include <string.h>

static gboolean is_harmless(gunichar c) {
        if (c < 0x20 || (c >= 0x7f && c < 0xa0))
                return FALSE;
        if ((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f)
                return FALSE;                   /* Unicode Standard Annex 9: explicit directional formatting */
        return c != 0x2028 && c != 0x2029;      /* line and paragraph separator */
}

static void append(GString *to, gunichar c) {
        if (is_harmless(c))
                g_string_append_unichar(to, c);
        else if (c == '\n')
                g_string_append(to, "\\n");
        else if (c == '\t')
                g_string_append(to, "\\t");
        else if (c == '\r')
                g_string_append(to, "\\r");
        else
                g_string_append_printf(to, "\\u{%x}", (unsigned) c);
}

char *screen_text(const char *text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        GString *to = g_string_sized_new(strlen(valid) + 1);

        for (const char *p = valid; *p; p = g_utf8_next_char(p))
                append(to, g_utf8_get_char(p));
        return g_string_free(to, FALSE);
}

static unsigned width_of(gunichar c) {
        if (g_unichar_iszerowidth(c))
                return 0;
        return g_unichar_iswide(c) ? 2 : 1;
}

unsigned screen_width(const char *text) {
        unsigned width = 0;

        for (const char *p = text; *p; p = g_utf8_next_char(p))
                width += width_of(g_utf8_get_char(p));
        return width;
}

char *screen_cut(const char *text, unsigned width) {
        const char *p = text;
        unsigned used = 0;

        if (screen_width(text) <= width)
                return g_strdup(text);
        if (width == 0)
                return g_strdup("");
        while (*p && used + width_of(g_utf8_get_char(p)) < width) {     /* one column is the ellipsis's */
                used += width_of(g_utf8_get_char(p));
                p = g_utf8_next_char(p);
        }
        return g_strdup_printf("%.*s…", (int) (p - text), text);
}
