/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "status.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "utf8.h"

#define TRACED_SHUTDOWN "qemu_system_shutdown_request reason="
#define TRACED_STATE "runstate_set "
#define PROGRAM "qemu-system-x86_64: "

enum qemu_shutdown qemu_shutdown_from_string(const char *untrusted) {
        if (strcmp(untrusted, "guest-shutdown") == 0)
                return QEMU_SHUTDOWN_GUEST;
        if (strcmp(untrusted, "guest-reset") == 0)
                return QEMU_SHUTDOWN_RESET;
        return strcmp(untrusted, "guest-panic") == 0 ? QEMU_SHUTDOWN_PANIC : QEMU_SHUTDOWN_HOST;
}

/* The numbers of ShutdownCause, from QEMU 3.0 on. */
static enum qemu_shutdown from_number(char digit) {
        switch (digit) {
        case '6':
                return QEMU_SHUTDOWN_GUEST;
        case '7':
                return QEMU_SHUTDOWN_RESET;
        case '8':
                return QEMU_SHUTDOWN_PANIC;
        default:
                return QEMU_SHUTDOWN_HOST;
        }
}

/* The last line before end, without its line feed; NULL if there is none. */
static const char *last_line(const char *log, const char *end, size_t *ret_n) {
        const char *line;

        while (end > log && (end[-1] == '\n' || end[-1] == '\r'))
                end--;
        if (end == log)
                return NULL;
        for (line = end; line > log && line[-1] != '\n';)
                line--;
        *ret_n = (size_t) (end - line);
        return line;
}

static bool begins(const char *line, size_t n, const char *with) {
        return n > strlen(with) && memcmp(line, with, strlen(with)) == 0;
}

static bool is_traced(const char *line, size_t n) {
        return begins(line, n, TRACED_SHUTDOWN) || begins(line, n, TRACED_STATE);
}

static bool ends(const char *line, size_t n, const char *with) {
        return n > strlen(with) && memcmp(line + n - strlen(with), with, strlen(with)) == 0;
}

/* What it tells last, unless the guest has run since. */
enum qemu_shutdown qemu_shutdown_from_log(const char *log, size_t size) {
        const char *end = log + size;
        size_t n;

        for (const char *line; (line = last_line(log, end, &n)); end = line) {
                if (begins(line, n, TRACED_SHUTDOWN))
                        return n == strlen(TRACED_SHUTDOWN) + 1 ? from_number(line[n - 1]) : QEMU_SHUTDOWN_HOST;
                if (begins(line, n, TRACED_STATE) && ends(line, n, "(running)"))
                        return QEMU_SHUTDOWN_RESET;     /* which is a shutdown that nobody has requested */
        }
        return QEMU_SHUTDOWN_UNKNOWN;
}

enum hypervisor_event qemu_shutdown_event(enum qemu_shutdown shutdown) {
        switch (shutdown) {
        case QEMU_SHUTDOWN_GUEST:
        case QEMU_SHUTDOWN_UNKNOWN:
                return HYPERVISOR_POWERED_OFF;
        case QEMU_SHUTDOWN_RESET:
                return HYPERVISOR_REBOOTED;
        case QEMU_SHUTDOWN_PANIC:
                return HYPERVISOR_PANICKED;
        default:
                return HYPERVISOR_NO_EVENT;
        }
}

static void ended(struct hypervisor_status *status, enum hypervisor_event event, const char *detail) {
        status->state = HYPERVISOR_ENDED;
        status->event = event;
        snprintf(status->detail, sizeof status->detail, "%s", detail);
}

void qemu_status_read(struct hypervisor_status *status, const char *run_state, bool has_started, enum qemu_shutdown shutdown) {
        static const struct {
                const char *name;
                enum hypervisor_state state;
                enum hypervisor_event event;
                const char *detail;
        } states[] = {
                { "running", HYPERVISOR_RUNNING, 0, "" },
                { "suspended", HYPERVISOR_RUNNING, 0, "" },     /* the guest sleeps, and wakes up by itself */
                { "colo", HYPERVISOR_RUNNING, 0, "" },
                { "finish-migrate", HYPERVISOR_SUSPENDED, 0, "" },
                { "inmigrate", HYPERVISOR_SUSPENDED, 0, "" },
                { "paused", HYPERVISOR_SUSPENDED, 0, "" },
                { "postmigrate", HYPERVISOR_SUSPENDED, 0, "" },
                { "debug", HYPERVISOR_SUSPENDED, 0, "" },
                { "restore-vm", HYPERVISOR_SUSPENDED, 0, "" },
                { "save-vm", HYPERVISOR_SUSPENDED, 0, "" },
                { "guest-panicked", HYPERVISOR_ENDED, HYPERVISOR_PANICKED, "its kernel panicked" },
                { "watchdog", HYPERVISOR_ENDED, HYPERVISOR_WATCHDOG, "its watchdog ran out" },
                { "io-error", HYPERVISOR_ENDED, HYPERVISOR_DISK_FAILED, "a disk could not be read or written" },
                { "internal-error", HYPERVISOR_ENDED, HYPERVISOR_BROKEN, "QEMU had an internal error" },
        };

        if (strcmp(run_state, "prelaunch") == 0) {
                status->state = has_started ? HYPERVISOR_SUSPENDED : HYPERVISOR_PREPARED;
                return;
        }
        if (strcmp(run_state, "shutdown") == 0) {
                ended(status, qemu_shutdown_event(shutdown) ?: HYPERVISOR_EXITED, "");
                return;
        }
        for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
                if (strcmp(states[i].name, run_state) == 0) {
                        ended(status, states[i].event, states[i].detail);
                        status->state = states[i].state;
                        return;
                }
        ended(status, HYPERVISOR_BROKEN, "QEMU is in a state that is not known here");
}

/* Before what is wrong with a description, all of the description is repeated, which leaves no room for the rest. */
static const char *skip_description(const char *line, size_t *n) {
        static const char end[] = "}: ";
        const char *message = *n > 0 && line[0] == '-' ? memmem(line, *n, end, strlen(end)) : NULL;

        if (!message || !memmem(line, *n, " {", 2))
                return line;
        message += strlen(end);
        *n -= (size_t) (message - line);
        return message;
}

void qemu_last_words(const char *log, size_t size, char *text, size_t text_size) {
        const char *end = log + size, *line;
        AUTO_FREE char *copy = NULL;
        size_t n;

        text[0] = '\0';
        while ((line = last_line(log, end, &n)) && is_traced(line, n))
                end = line;
        if (!line)
                return;
        if (n > strlen(PROGRAM) && memcmp(line, PROGRAM, strlen(PROGRAM)) == 0) {
                line += strlen(PROGRAM);
                n -= strlen(PROGRAM);
                line = skip_description(line, &n);
        }
        if (n >= text_size)
                n = text_size - 1;
        memcpy(text, line, n);
        text[n] = '\0';
        for (char *p = text; *p; p++)
                if (iscntrl((unsigned char) *p))
                        *p = ' ';
        copy = idl_utf8_copy(text, text_size - 1);
        snprintf(text, text_size, "%s", copy ?: "");
}
