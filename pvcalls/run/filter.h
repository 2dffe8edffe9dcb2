/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The filter of system calls that a program gets: those that say where a socket goes are asked of the supervisor, all others, and with them all
 * that moves bytes, are the kernel's own at full speed.
 *
 * What would go around the supervisor is refused: io_uring (ENOSYS; who uses it has another way), TCP Fast Open and urgent data (EOPNOTSUPP), and
 * sockets of 32-bit programs (ENOSYS), whose calls have other numbers and shapes.
 */

/* What is asked of the supervisor besides: whom datagrams are sent to, and come from, and those that are large; what UNIX sockets are given to send. */
enum filter_wish { FILTER_DATAGRAMS = 1, FILTER_UNIX = 2 };

/*
 * Gives the filter to this process and all that it starts. Returns the descriptor at which the supervisor hears of the calls. -EBUSY: this process
 * has a supervisor already. Without the privilege for it, no_new_privs is set first.
 */
int filter_install(enum filter_wish wishes);
