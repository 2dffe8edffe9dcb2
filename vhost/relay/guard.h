/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guard: what a daemon is not told, because it would believe it.
 *
 * libvhost-user, which qemu-storage-daemon (as of 7.2) is made with, trusts its front-end: the index of a ring, the number of regions, where a region ends and where a
 * ring does it takes as they are said, and then reads and writes beyond what it has. But a front-end may be a QEMU that its guest has taken over. So everything that the
 * daemon relies on is looked at before.
 *
 * No I/O, but that files are asked how large they are.
 */

#include <stdint.h>

#include "message.h"
#include "session.h"

/* What a daemon offers. */
struct guard_offer {
        uint64_t features;
        uint32_t n_rings;
};

/*
 * Looks at a message whose form was checked (vhost_message_check()), before it is kept in the session. -EBADMSG: it says what cannot be; -EBADF: with a descriptor too many, or
 * without one; -EINVAL: a region that there cannot be; -EEXIST: one over another; -EFAULT: a ring, or a part of one, that is in no region.
 */
int guard_check(const struct session *session, const struct guard_offer *offer, const struct vhost_message *message);
