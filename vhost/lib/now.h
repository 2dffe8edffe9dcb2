/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reads and writes that never wait, of descriptors which a peer has as well.
 *
 * O_NONBLOCK is of the open file, not of a descriptor: whoever has sent us one can take the flag off again at any moment, and have the next call wait for
 * ever. So nothing here relies on it.
 */

#include <stddef.h>
#include <sys/types.h>

/*
 * As read(2) and write(2), of an event, pipe or socket: -1 with errno EAGAIN where these would wait. Where the kernel cannot be told not to (a write to an
 * event; a read of a pipe, before Linux 6.5) it is asked just before, so that a peer has to hit that moment.
 */
ssize_t vhost_read_now(int fd, void *to, size_t n);
ssize_t vhost_write_now(int fd, const void *from, size_t n);
