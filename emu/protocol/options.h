/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What xenemu and xenemud both read from their command lines. */

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* Reads a decimal number of at most max: digits and nothing else. */
bool option_parse_number(const char *text, uint32_t max, uint32_t *ret_number);

/* Reads NAME=N, where NAME is handles, ports, shared-pages, grants or maptrack and N is at least 1, into that limit. */
bool option_parse_limit(const char *text, struct emu_limits *limits);
