/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Logins: what a noop guest has on its console. It lets in whoever gives a name, echoes what is typed, and knows a few commands, some
 * of which have the guest do something. Does no I/O.
 */

#include <stdbool.h>
#include <stddef.h>

#include "hypervisor.h"

#define LOGIN_LINE_MAX 256u             /* bytes of a line; more are not taken */

struct login {
        bool logged_in;
        char line[LOGIN_LINE_MAX];
        size_t n;
        char last;                      /* a line feed after a carriage return is not a line of its own */
};

/* Where the console's output goes. */
typedef void (*login_write_t)(void *userdata, const char *data, size_t size);

/* The guest begins to boot; it has booted. */
void login_boot(struct login *login, const char *name, login_write_t write, void *userdata);
void login_prompt(struct login *login, const char *name, login_write_t write, void *userdata);

/* Takes what was typed. Returns what the guest was told to do: HYPERVISOR_POWERED_OFF, ..., or HYPERVISOR_NO_EVENT. */
enum hypervisor_event login_input(struct login *login, const char *name, const char *data, size_t size, login_write_t write,
                                  void *userdata);
