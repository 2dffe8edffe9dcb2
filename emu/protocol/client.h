/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The asking end of protocol.h: a connection to xenemud and blocking calls over it.
 *
 * Calls on one connection must not overlap; whoever shares one between threads holds a lock around them.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "protocol.h"

/*
 * Connects to the xenemud socket at path and says hello. If cloexec is false, the descriptor survives exec(2).
 *
 * Returns the descriptor, which the caller closes, or a negative errno: -ENOENT or -ECONNREFUSED without a daemon there,
 * -ENAMETOOLONG, -EPROTO if the daemon is of another build, -EMFILE if the domain has all the handles it may have.
 */
int emu_connect(const char *path, int cloexec);

/*
 * Makes one request and waits for its reply.
 *
 * argument, n_argument: the structure that the operation takes, NULL and 0 for none.
 * ret_reply, n_reply: room for the reply's structure behind struct emu_reply, which may be NULL and 0. At most that much is
 *     written; what is missing is zeroed, so a shorter reply is never mistaken for a full one. It is written on failure too, if the
 *     daemon sent something (EMU_GRANT_MAP).
 * ret_fds, n_fds: room for descriptors, close-on-exec, which the caller closes. Unused entries are set to -1.
 *
 * Returns the reply's result: 0 or a positive number, or a negative errno; -EPIPE if the daemon is gone, -EPROTO if its reply
 * carried other descriptors than were asked for room for, -EMFILE if this process has no room for them; then ret_reply is written
 * too, and names what the daemon has made and the caller has to undo.
 */
int emu_call(int fd, uint32_t op, const void *argument, size_t n_argument, void *ret_reply, size_t n_reply, int *ret_fds, size_t n_fds);

/*
 * Sends a request that has no reply (EMU_REQUEST_POSTED), with the structure that the operation takes. Returns 0 or a negative errno; -EPIPE if the
 * daemon is gone.
 */
int emu_post(int fd, uint32_t op, const void *argument, size_t n_argument);
