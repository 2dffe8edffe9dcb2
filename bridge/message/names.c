/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "names.h"

#include <string.h>

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool is_letter(char c) {
        return ((unsigned char) (c | 0x20) >= 'a' && (unsigned char) (c | 0x20) <= 'z') || c == '_';    /* of either case */
}

/* Elements with dots between them, n_min of them at least. */
static bool is_dotted(const char *p, size_t n, bool dash, bool digit_first, size_t n_min) {
        size_t n_elements = 0;
        bool begins = true;

        for (size_t i = 0; i < n; i++) {
                if (p[i] == '.') {
                        if (begins)
                                return false;
                        begins = true;
                        continue;
                }
                if (!is_letter(p[i]) && !(dash && p[i] == '-') && !(is_digit(p[i]) && (!begins || digit_first)))
                        return false;
                if (begins)
                        n_elements++;
                begins = false;
        }
        return !begins && n_elements >= n_min;
}

bool name_is_unique(const char *p, size_t n) {
        return n <= NAME_MAX_LENGTH && n > 0 && p[0] == ':' && is_dotted(p + 1, n - 1, true, true, 2);
}

bool name_is_well_known(const char *p, size_t n) {
        return n <= NAME_MAX_LENGTH && is_dotted(p, n, true, false, 2);
}

bool name_is_bus_name(const char *p, size_t n) {
        return name_is_unique(p, n) || name_is_well_known(p, n);
}

bool name_is_namespace(const char *p, size_t n) {
        return n <= NAME_MAX_LENGTH && is_dotted(p, n, true, false, 1);
}

bool name_is_interface(const char *p, size_t n) {
        return n <= NAME_MAX_LENGTH && is_dotted(p, n, false, false, 2);
}

bool name_is_member(const char *p, size_t n) {
        return n <= NAME_MAX_LENGTH && !memchr(p, '.', n) && is_dotted(p, n, false, false, 1);
}

bool name_is_path(const char *p, size_t n) {
        if (n == 0 || p[0] != '/')
                return false;
        if (n == 1)
                return true;
        for (size_t i = 1; i < n; i++)
                if (p[i] == '/' ? p[i - 1] == '/' : !is_letter(p[i]) && !is_digit(p[i]))
                        return false;
        return p[n - 1] != '/';
}

bool name_path_is_below(const char *path, const char *root) {
        size_t n = strlen(root);

        if (n == 1)             /* "/" */
                return true;
        return strncmp(path, root, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool name_is_in_namespace(const char *name, const char *space) {
        size_t n = strlen(space);

        return strncmp(name, space, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

/* The length of the character at p that is not ASCII; 0 if it is none. RFC 3629, section 4. */
static size_t character_length(const uint8_t *p, size_t n_left) {
        uint8_t low = 0x80, high = 0xbf;        /* of its second byte */
        size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

        if (p[0] < 0xc2 || p[0] > 0xf4 || n > n_left)
                return 0;
        switch (p[0]) {
        case 0xe0: low = 0xa0; break;           /* less has a shorter form */
        case 0xed: high = 0x9f; break;          /* more is a surrogate */
        case 0xf0: low = 0x90; break;           /* less has a shorter form */
        case 0xf4: high = 0x8f; break;          /* more is beyond U+10FFFF */
        }
        for (size_t i = 1; i < n; i++, low = 0x80, high = 0xbf)
                if (p[i] < low || p[i] > high)
                        return 0;
        return n;
}

/* How many bytes of the first n are certainly ASCII and no NUL: eight at a time, as most strings are nothing else. */
static size_t skip_ascii(const uint8_t *p, size_t n) {
        const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
        size_t i;

        for (i = 0; i + 8 <= n; i += 8) {
                uint64_t word;

                memcpy(&word, p + i, sizeof word);
                if ((word | (word - ones)) & tops)      /* a top bit, or a zero byte that borrowed; nothing before that one was either */
                        break;
        }
        return i;
}

bool name_is_utf8(const char *text, size_t n) {
        const uint8_t *p = (const uint8_t *) text;

        for (size_t i = 0; i < n;) {
                size_t n_character;

                i += skip_ascii(p + i, n - i);
                for (size_t end = n - i < 8 ? n : i + 8; i < end; i += n_character) {
                        if (p[i] == '\0')
                                return false;
                        n_character = p[i] < 0x80 ? 1 : character_length(p + i, n - i);
                        if (n_character == 0)
                                return false;
                }
        }
        return true;
}
