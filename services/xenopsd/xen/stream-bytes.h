/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bytes of a stream, from and to a file or a socket, which may be non-blocking. The other end may take its time: what is to end such a wait
 * shuts the socket down. -EBADMSG: it ends before that.
 */

#include <stddef.h>

int xen_stream_write_all(int fd, const char *data, size_t size);
int xen_stream_read_all(int fd, char *data, size_t size);

/* Bytes that stay where they are. */
int xen_stream_peek_all(int fd, char *data, size_t size);
