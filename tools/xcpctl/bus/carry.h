/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Carrying: bytes both ways between a socket, and standard input and output. */

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

enum carry_flags {
        CARRY_TERMINAL = 1 << 0,        /* standard input is a terminal that is raw: the escape character, ^], ends it */
        CARRY_READ_ONLY = 1 << 1,       /* what comes from standard input goes nowhere */
        CARRY_END = 1 << 2,             /* the end of standard input is told to the other side */
};

/* Until the socket ends, the escape character comes, or a signal asks to end: a terminal is to be put right. */
bool carry(int fd, unsigned flags, GError **error);

/* To a descriptor that may be nonblocking. false: errno says why. */
bool carry_write(int fd, const uint8_t *data, size_t n);
