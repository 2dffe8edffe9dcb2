/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Sessions: what a front-end has told its back-end that holds until it says otherwise, so that another back-end can be told the same.
 *
 * Of what can be said again, the last is kept, with copies of its descriptors. No I/O, but when it is told.
 */

#include <stdbool.h>
#include <stdint.h>

#include "frontend.h"
#include "message.h"

#define SESSION_RINGS_MAX 16u           /* qemu-storage-daemon is told of 4 */

enum { SESSION_WHOLE_N = 6, SESSION_RING_N = 7 };       /* kinds of messages about all of it, and about a ring */

struct session {
        struct vhost_message whole[SESSION_WHOLE_N];    /* request 0: it was not said */
        struct vhost_message rings[SESSION_RINGS_MAX][SESSION_RING_N];
        uint64_t protocol_features;
};

void session_done(struct session *session);

/* What is none to be kept is let pass. -EBADMSG: of a ring that there is not. */
int session_keep(struct session *session, const struct vhost_message *message);

/* Whether a ring was begun, and not stopped since. */
bool session_ring_runs(const struct session *session, uint32_t ring);

/* What is kept: request 0 if nothing is. A ring's size is 0 if it was not told. The ring is one that there is. */
const struct vhost_message *session_table(const struct session *session);
const struct vhost_message *session_address(const struct session *session, uint32_t ring);
uint32_t session_ring_size(const struct session *session, uint32_t ring);

/* A ring was stopped, and goes on from here when it is begun anew; or goes on from here as soon as another back-end is told. */
int session_ring_stopped(struct session *session, uint32_t ring, uint32_t base);
int session_ring_at(struct session *session, uint32_t ring, uint32_t base);

/* Tells a back-end that knows nothing. -EPROTO: it is not such a one as the front-end was told that it is. */
int session_tell(const struct session *session, struct vhost_frontend *backend);

/* Wakes both sides of each ring: what one has done while the other could not be told. Does not wait, whatever the front-end has given for it. */
void session_wake(const struct session *session);
