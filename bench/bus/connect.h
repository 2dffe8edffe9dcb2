/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A connection to the bus at an address. */

#include <systemd/sd-bus.h>

/* 0, or a negative errno after a word on standard error. */
int connect_bus(const char *program, const char *address, sd_bus **ret_bus);

/* Prints what failed, the error's or the system's reason for it, and returns r, a negative errno. */
int connect_failed(const char *program, const char *what, int r, const sd_bus_error *error);
