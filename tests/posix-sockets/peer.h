/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The peer: a server on Linux's own sockets. The first byte of a connection says what it does with it:
 *
 *      e       sends back what comes, until its end
 *      h       reads to the end, then sends the number of bytes as a decimal number
 *      w       reads to the end, and remembers how it ended
 *      q       sends how the last 'w' ended, as the name of an error or "end"; waits until there is one
 *      r       resets the connection
 *      s       neither reads nor writes until the other side is gone
 *      d       two bytes: connects to that port of 127.0.0.1, sends back there what comes, until its end
 *      b       never accepts on a listener with a full queue, and sends its port, two bytes; until the other side is gone
 */

#include <stdint.h>

/* Serves until the process is killed. Returns an exit status if it cannot. */
int peer_run(uint16_t port);
