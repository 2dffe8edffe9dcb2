/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Frames of datagrams in a data ring (docs/pvcalls-extensions.md, "Datagrams"), which lie in the two pieces that a ring's bytes or room are.
 * A header is looked at as a copy alone.
 */

#include <stddef.h>
#include <sys/uio.h>

#include "layout.h"

#define FRAME_HEADER sizeof(struct pvcalls_datagram)

/* How many bytes of the ring a datagram of n bytes takes. */
size_t frame_length(size_t n);

/* Copies n bytes out of the pieces, or into them; they begin behind these then. What they are too short for is not copied. */
void pieces_get(struct iovec pieces[2], void *to, size_t n);
void pieces_put(struct iovec pieces[2], const void *from, size_t n);

/* Shortens them to n bytes, of which they have more. */
void pieces_limit(struct iovec pieces[2], size_t n);

/*
 * The next frame of n bytes that a peer has put in: its header, and the pieces begin with the datagram then. -EPROTO: it is not there whole, though a
 * peer puts it in whole.
 */
int frame_get(struct iovec pieces[2], size_t n, struct pvcalls_datagram *ret_untrusted);
