/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a guest is, from what its QEMU says. Pure.
 *
 * A guest that has switched itself off and one that wants to boot anew are the same for query-status: both are "shutdown". Which it was
 * is in an event, and, for a manager that was not there to hear it, in what QEMU traces into its log.
 */

#include <stdbool.h>
#include <stddef.h>

#include "hypervisor.h"

enum qemu_shutdown {                    /* QEMU, qapi/run-state.json, ShutdownCause */
        QEMU_SHUTDOWN_UNKNOWN,
        QEMU_SHUTDOWN_GUEST,            /* guest-shutdown */
        QEMU_SHUTDOWN_RESET,            /* guest-reset */
        QEMU_SHUTDOWN_PANIC,            /* guest-panic */
        QEMU_SHUTDOWN_HOST,             /* any of the others: QEMU is about to end */
};

enum qemu_shutdown qemu_shutdown_from_string(const char *untrusted);

/* What a log tells of a guest that is shut down. */
enum qemu_shutdown qemu_shutdown_from_log(const char *untrusted_log, size_t size);

/* What is to be told of a shutdown; HYPERVISOR_NO_EVENT if QEMU's end will tell. */
enum hypervisor_event qemu_shutdown_event(enum qemu_shutdown shutdown);

/* Sets state, event and detail from a RunState of query-status. has_started: Start() was called. */
void qemu_status_read(struct hypervisor_status *status, const char *untrusted_run_state, bool has_started, enum qemu_shutdown shutdown);

/* The last line of a log that is not traced, as a sentence of UTF-8, without QEMU's name before it. Empty if there is none. */
void qemu_last_words(const char *untrusted_log, size_t size, char *text, size_t text_size);
