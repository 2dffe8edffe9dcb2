/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kernel's log: lines on standard error, each with the domain's name in front. */

#include <stdint.h>

/* Names the domain that the lines are about. Until then they are about "dom?". */
void log_set_domain(uint32_t domid);

/* Writes one line; it needs no newline. Never fails: without a standard error there is nobody to tell. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
