/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What ring.h says of rings, for packed ones; ring.c is who calls it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"

int vhost_packed_init(struct vhost_ring *ring);
int vhost_packed_take(struct vhost_ring *ring, struct vhost_chain *chain, size_t n_iov);
void vhost_packed_put(struct vhost_ring *ring, const struct vhost_chain *chain, uint32_t n_written);
bool vhost_packed_publish(struct vhost_ring *ring);
bool vhost_packed_sleep(struct vhost_ring *ring);
void vhost_packed_wake(struct vhost_ring *ring);
