/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policy files as lines of words: what the bus's policy (policy.h) and the bridge's (bridge/policy) have in common.
 *
 * Words are of printable ASCII, with blanks between them; a comment goes from a word that begins with # to the line's end. All functions
 * that return an int return -EINVAL and have set the error if the line is not what it should be.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POLICY_WORDS_MAX 64             /* a line longer than this is no statement anybody meant to write */

struct policy_error {
        unsigned line, column;          /* from 1; column counts bytes */
        char text[192];
};

struct policy_word {
        const char *p;
        size_t n;
        unsigned column;
};

struct policy_line {
        struct policy_word words[POLICY_WORDS_MAX];
        size_t n_words;
        size_t at;                      /* the word to be read next */
        unsigned number;
        unsigned end_column;            /* where a word that is missing should have been */
        const char *text;               /* all of the line, without its end */
        size_t n_text;
        const char *rest;               /* what comes after it */
        size_t n_rest;
        struct policy_error *error;
};

/* Begins before the first line of a text, which has to live as long as its lines are read. */
void policy_begin(struct policy_line *line, const char *text, size_t n, struct policy_error *error);

/* Goes to the next line that has words. Returns 1, or 0 at the end. */
int policy_next_line(struct policy_line *line);

/* Sets the error. Returns -EINVAL. */
int policy_fail(const struct policy_line *line, unsigned column, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For an error message: the whole of a word of a sane length, or its beginning. */
#define POLICY_SHOWN(word) (int) ((word)->n < 60 ? (word)->n : 60), (word)->p

bool policy_word_is(const struct policy_word *word, const char *text);

/* Takes the next word. what says, for the error message, what it should be. */
int policy_take(struct policy_line *line, const char *what, const struct policy_word **ret_word);

/* Whether the next word is this one; if so, it is taken. */
bool policy_take_if(struct policy_line *line, const char *text);

/* Takes a word that must be valid, and copies it; or -ENOMEM. */
int policy_take_valid(struct policy_line *line, const char *what, int (*is_valid)(const char *text), char **ret_text);

/* Reads a word as a limit: digits, then nothing or K, M or G, 1 to max. */
int policy_read_number(const struct policy_line *line, const struct policy_word *word, uint64_t max, uint64_t *ret_value);
