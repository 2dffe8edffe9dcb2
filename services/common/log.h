/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The log: one call for one event, in words that an operator searches for, with what it is about in fields.
 *
 *         log_event(LOG_WARNING, LOG_FIELDS({ "XCP_CALLER", caller }), "%s asked for a VDI that is not there: '%s'", caller, name);
 *
 * Where standard error is the journal's, as under systemd, events go to the journal with their fields
 * (journalctl XCP_CALLER=:1.7). Otherwise each is a line on standard error, with the fields behind the sentence. Values may hold
 * anything a client sent: on standard error, control characters are written as \xNN, so that one event stays one line.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <syslog.h>

#define LOG_TEXT_MAX 1024u              /* bytes of a sentence or of a value; the rest of a longer one is cut off */
#define LOG_FIELDS_MAX 8u               /* of one event */
#define LOG_TAIL_MAX (64u * 1024)       /* of the last lines: some hundred */

struct log_field {
        const char *name;               /* as the journal wants it: capitals, digits and underscores, XCP_ in front */
        const char *value;
};

#define LOG_FIELDS(...) ((const struct log_field[]) { __VA_ARGS__, { NULL, NULL } })

/* Names the program, and finds out where the log goes. Until then, it goes to standard error. */
void log_open(const char *program);

/* Events less important than level, LOG_ERR, LOG_WARNING, LOG_INFO or LOG_DEBUG, are dropped. LOG_INFO at first. */
void log_set_level(int level);
int log_level(void);

/* The names of levels: error, warning, info, debug. -EINVAL for any other; NULL for a level without a name. */
int log_level_from_name(const char *name, int *ret_level);
const char *log_level_name(int level);

/* Never fails: without a log there is nobody to tell. fields may be NULL. */
void log_event(int level, const struct log_field *fields, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* How many events of this level there were, dropped ones included. */
uint64_t log_count(int level);

/* The last lines, for a bug report: as on standard error, and some hundred of them. */
const char *log_tail(void);

/* Does $JOURNAL_STREAM, systemd.exec(5), mean this file? */
bool log_is_journal(const char *journal_stream, const struct stat *st);
