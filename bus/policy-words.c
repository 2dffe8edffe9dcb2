/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "policy-words.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"

int policy_fail(const struct policy_line *line, unsigned column, const char *format, ...) {
        va_list args;

        line->error->line = line->number;
        line->error->column = column;
        va_start(args, format);
        vsnprintf(line->error->text, sizeof line->error->text, format, args);
        va_end(args);
        return -EINVAL;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r';
}

bool policy_word_is(const struct policy_word *word, const char *text) {
        return word->n == strlen(text) && memcmp(word->p, text, word->n) == 0;
}

/* Cuts a line into words, up to a comment. */
static int split(struct policy_line *line, const char *p, size_t n) {
        size_t i = 0;

        line->n_words = line->at = 0;
        for (;;) {
                while (i < n && is_blank(p[i]))
                        i++;
                line->end_column = i + 1;
                if (i == n || p[i] == '#')
                        return 0;
                if (line->n_words == POLICY_WORDS_MAX)
                        return policy_fail(line, i + 1, "more than %d words in a line", POLICY_WORDS_MAX);

                struct policy_word *word = &line->words[line->n_words++];
                *word = (struct policy_word) { .p = p + i, .column = i + 1 };
                while (i < n && !is_blank(p[i])) {
                        if (p[i] <= ' ' || p[i] > '~')
                                return policy_fail(line, i + 1, "byte 0x%02x has no place here: only comments may hold what is not ASCII",
                                                   (unsigned char) p[i]);
                        i++;
                }
                word->n = p + i - word->p;
        }
}

void policy_begin(struct policy_line *line, const char *text, size_t n, struct policy_error *error) {
        *line = (struct policy_line) { .rest = text, .n_rest = n, .error = error };
}

int policy_next_line(struct policy_line *line) {
        while (line->n_rest > 0) {
                const char *newline = memchr(line->rest, '\n', line->n_rest);
                int r;

                line->text = line->rest;
                line->n_text = newline ? (size_t) (newline - line->rest) : line->n_rest;
                line->rest += line->n_text + (newline != NULL);
                line->n_rest -= line->n_text + (newline != NULL);
                line->number++;
                r = split(line, line->text, line->n_text);
                if (r < 0)
                        return r;
                if (line->n_words > 0)
                        return 1;
        }
        return 0;
}

int policy_take(struct policy_line *line, const char *what, const struct policy_word **ret_word) {
        if (line->at == line->n_words)
                return policy_fail(line, line->end_column, "the line ends where %s should be", what);
        *ret_word = &line->words[line->at++];
        return 0;
}

bool policy_take_if(struct policy_line *line, const char *text) {
        if (line->at == line->n_words || !policy_word_is(&line->words[line->at], text))
                return false;
        line->at++;
        return true;
}

int policy_take_valid(struct policy_line *line, const char *what, int (*is_valid)(const char *text), char **ret_text) {
        const struct policy_word *word = NULL;
        AUTO_FREE char *text = NULL;
        int r;

        r = policy_take(line, what, &word);
        if (r < 0)
                return r;
        text = strndup(word->p, word->n);
        if (!text)
                return -ENOMEM;
        if (is_valid(text) <= 0)
                return policy_fail(line, word->column, "'%.*s' is not %s", POLICY_SHOWN(word), what);
        *ret_text = text;
        text = NULL;
        return 0;
}

int policy_read_number(const struct policy_line *line, const struct policy_word *word, uint64_t max, uint64_t *ret_value) {
        uint64_t value = 0, unit = 1;
        size_t n = word->n;

        switch (n > 0 ? word->p[n - 1] : 0) {
        case 'K': unit = UINT64_C(1) << 10; n--; break;
        case 'M': unit = UINT64_C(1) << 20; n--; break;
        case 'G': unit = UINT64_C(1) << 30; n--; break;
        }
        if (n == 0)
                return policy_fail(line, word->column, "'%.*s' is not a number", POLICY_SHOWN(word));
        for (size_t i = 0; i < n; i++) {
                if (word->p[i] < '0' || word->p[i] > '9')
                        return policy_fail(line, word->column + i, "'%.*s' is not a number: digits, then nothing or K, M or G",
                                           POLICY_SHOWN(word));
                if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, word->p[i] - '0', &value))
                        value = UINT64_MAX;     /* stays there: the next digit overflows again, or the bound below refuses it */
        }
        if (__builtin_mul_overflow(value, unit, &value) || value > max)
                return policy_fail(line, word->column, "%.*s is more than the most this limit can be, %llu", POLICY_SHOWN(word),
                                   (unsigned long long) max);
        if (value == 0)
                return policy_fail(line, word->column, "a limit of 0 would let nothing through");
        *ret_value = value;
        return 0;
}
