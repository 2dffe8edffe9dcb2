/* SPDX-License-Identifier: LGPL-2.1-or-later */

#define SD_JOURNAL_SUPPRESS_LOCATION    /* the location would be this file, always */

#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#define LINE_SIZE (8 * LOG_TEXT_MAX)    /* more than a sentence and some fields; a line longer than that is cut */

static const char *program = "xcp";
static int level_max = LOG_INFO;
static bool to_journal;
static uint64_t counts[LOG_DEBUG + 1];
static char tail[LOG_TAIL_MAX + 1];
static size_t n_tail;

static const char *const level_names[LOG_DEBUG + 1] = {
        [LOG_ERR] = "error",
        [LOG_WARNING] = "warning",
        [LOG_INFO] = "info",
        [LOG_DEBUG] = "debug",
};

bool log_is_journal(const char *journal_stream, const struct stat *st) {
        char expected[64];

        if (!journal_stream)
                return false;
        snprintf(expected, sizeof expected, "%" PRIu64 ":%" PRIu64, (uint64_t) st->st_dev, (uint64_t) st->st_ino);
        return strcmp(journal_stream, expected) == 0;
}

void log_open(const char *name) {
        struct stat st;

        program = name;
        to_journal = fstat(STDERR_FILENO, &st) == 0 && log_is_journal(getenv("JOURNAL_STREAM"), &st);
}

void log_set_level(int level) {
        level_max = level;
}

int log_level(void) {
        return level_max;
}

int log_level_from_name(const char *name, int *ret_level) {
        for (int level = LOG_ERR; level <= LOG_DEBUG; level++)
                if (level_names[level] && strcmp(level_names[level], name) == 0) {
                        *ret_level = level;
                        return 0;
                }
        return -EINVAL;
}

const char *log_level_name(int level) {
        return level >= 0 && level <= LOG_DEBUG ? level_names[level] : NULL;
}

uint64_t log_count(int level) {
        return level >= 0 && level <= LOG_DEBUG ? counts[level] : 0;
}

struct line {
        char text[LINE_SIZE];
        size_t n;
};

static void line_add(struct line *line, const char *s) {
        size_t n = strnlen(s, LOG_TEXT_MAX);

        for (size_t i = 0; i < n && line->n + sizeof "\\xNN\n" < sizeof line->text; i++) {
                unsigned char c = (unsigned char) s[i];

                if (c < 0x20 || c == 0x7f)
                        line->n += (size_t) sprintf(line->text + line->n, "\\x%02x", c);
                else
                        line->text[line->n++] = (char) c;
        }
}

static void format_line(struct line *line, const struct log_field *fields, const char *sentence) {
        line_add(line, program);
        line_add(line, ": ");
        line_add(line, sentence);
        for (size_t i = 0; fields && fields[i].name && i < LOG_FIELDS_MAX; i++) {
                line_add(line, " ");
                line_add(line, fields[i].name);
                line_add(line, "=");
                line_add(line, fields[i].value ?: "");
        }
        line->text[line->n++] = '\n';
}

/* Drops old lines, half of what there is at least, so that this is seldom. */
static void make_room(size_t n) {
        const char *from = tail + (n > LOG_TAIL_MAX / 2 ? n : LOG_TAIL_MAX / 2);

        if (n_tail + n <= LOG_TAIL_MAX)
                return;
        if (from < tail + n_tail)
                from = strchr(from, '\n');
        n_tail = from && from < tail + n_tail ? n_tail - (size_t) (from + 1 - tail) : 0;
        memmove(tail, from ? from + 1 : tail, n_tail);
}

static void keep_line(const struct line *line) {
        make_room(line->n);
        memcpy(tail + n_tail, line->text, line->n);
        n_tail += line->n;
        tail[n_tail] = '\0';
}

const char *log_tail(void) {
        return tail;
}

static void write_line(const struct line *line) {
        /* One write, because several services may share the stream. There is nobody to tell if it fails. */
        if (write(STDERR_FILENO, line->text, line->n) < 0)
                return;
}

/* Returns whether it is there. */
static bool write_journal(int level, const struct log_field *fields, const char *sentence) {
        char texts[LOG_FIELDS_MAX + 3][LOG_TEXT_MAX + 64];
        struct iovec iov[LOG_FIELDS_MAX + 3];
        int n = 0;

        snprintf(texts[n++], sizeof texts[0], "MESSAGE=%s", sentence);
        snprintf(texts[n++], sizeof texts[0], "PRIORITY=%d", level);
        snprintf(texts[n++], sizeof texts[0], "SYSLOG_IDENTIFIER=%s", program);
        for (size_t i = 0; fields && fields[i].name && i < LOG_FIELDS_MAX; i++)
                snprintf(texts[n++], sizeof texts[0], "%s=%.*s", fields[i].name, (int) LOG_TEXT_MAX, fields[i].value ?: "");
        for (int i = 0; i < n; i++)
                iov[i] = (struct iovec) { texts[i], strlen(texts[i]) };
        return sd_journal_sendv(iov, n) >= 0;
}

void log_event(int level, const struct log_field *fields, const char *format, ...) {
        struct line line = { .n = 0 };
        char sentence[LOG_TEXT_MAX];
        va_list args;

        counts[level]++;
        if (level > level_max)
                return;

        va_start(args, format);
        vsnprintf(sentence, sizeof sentence, format, args);
        va_end(args);

        format_line(&line, fields, sentence);
        keep_line(&line);
        if (!to_journal || !write_journal(level, fields, sentence))
                write_line(&line);
}
