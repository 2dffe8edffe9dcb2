/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Datagrams: how a stream (stream.h) of a guest's moves bytes if its socket has datagrams. Each is a frame in the ring, which is there whole or
 * not at all (docs/pvcalls-extensions.md, "Datagrams").
 *
 * What cannot be sent is told to the guest in a frame of its own, if there is room for it, and is lost, as datagrams are.
 */

#include <sys/types.h>

#include "stream.h"

/* As stream_run() uses them: bytes of the ring that were moved, 0 if there is nothing to do for now, or -EPROTO. */
ssize_t datagram_receive(struct stream *stream, size_t budget);
ssize_t datagram_send(struct stream *stream, size_t budget);
