/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Consoles: a guest's serial line, shared. What the guest says goes to everybody who has opened the console, and into a log; what the one
 * writer says goes to the guest.
 *
 * A reader that does not read until its socket is full is disconnected rather than told less than others. A guest that does not read
 * keeps its writer waiting.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "idl.h"

#define CONSOLE_LOG_MIN (64u * 1024)    /* bytes kept, as GetConsoleLog() promises */
#define CONSOLE_READERS_MAX 64u         /* at once: each costs a descriptor */

struct console;

int console_new(struct console **ret_console, sd_event *event, const char *name);
struct console *console_free(struct console *console);

/* The guest's end, which is taken over. What was connected before is disconnected, and its readers with it. */
int console_connect(struct console *console, int fd);
void console_disconnect(struct console *console);
bool console_is_connected(const struct console *console);

/* A socket for another who opens it: Busy if it wants to write and somebody else does. owner: who, for others to see. */
int console_open(struct console *console, const char *owner, bool read_only, int *ret_fd, struct idl_error *error);

/* The end of the log. Valid until the next event. */
const char *console_log(const struct console *console, size_t max, size_t *ret_size);
