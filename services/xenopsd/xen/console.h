/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Consoles: bytes both ways between the manager's socket and the terminal that xenconsoled, or the device model of an HVM guest, has for a
 * domain. The terminal comes some time after the domain, and goes with it; the connection stays for the domain that follows.
 */

#include <stdint.h>

#include <systemd/sd-event.h>

struct console_relay;
struct store_watch;

/* ret_fd: the manager's end. */
int console_relay_new(struct console_relay **ret_console, sd_event *event, struct store_watch *watch, int *ret_fd);
struct console_relay *console_relay_free(struct console_relay *console);

/* Whose terminal it is from now on; what the one before has said last is still passed on. */
int console_relay_follow(struct console_relay *console, uint32_t domid);
void console_relay_leave(struct console_relay *console);
