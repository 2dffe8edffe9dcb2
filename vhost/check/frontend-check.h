/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Checks a front-end: listens as a back-end, passes what the front-end says on to a disk in memory (memory-disk.h), and the answers back, and watches
 * both (watch.h). It is over when the front-end closes its connection.
 */

#include <stdbool.h>
#include <stdint.h>

struct frontend_check {
        const char *path;               /* of the socket */
        uint64_t without;               /* protocol features that are not offered, as bits */
        bool has_inband;                /* INBAND_NOTIFICATIONS is offered */
        unsigned cut_off;               /* which request is not answered, but ends the session: the how-manieth; 0: none */
        int timeout_ms;                 /* for a front-end that was cut off to come again */
        bool trace;                     /* print a line for each message */
};

/* A protocol feature's bit, by its name without VHOST_USER_PROTOCOL_F_, or -1. */
int frontend_check_feature(const char *name);

/* Prints "ready", and at the end a table. Returns how many clauses failed, or a negative errno. */
int frontend_check(const struct frontend_check *check);
