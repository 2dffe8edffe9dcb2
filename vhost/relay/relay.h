/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The relay: stands between a front-end and a daemon (daemon.h), and passes on what they say. The rings and the guest's memory are between those two: nothing that
 * is read or written comes by here. It does what the export of qemu-storage-daemon (as of 7.2) does not:
 *
 *   - GET_VRING_BASE is answered when what was taken from the ring has been done. The daemon answers at once, and what is under way then is lost to a guest that is
 *     migrated or saved: it is neither in the ring's used part nor does anybody do it again (vhost-user.rst, "Ring states", has no such state). It does finish
 *     what it has begun before it closes a connection. So that one is closed, and when it is, the next is told all that was said (session.h).
 *   - Somebody answers before there is a daemon that has the disk: an understudy, which is the same program with the same export, of nothing. As soon as a ring is
 *     to be begun, the front-end waits until relay_begin(). So in a migration QEMU can be made where the guest goes, while the disk is another daemon's.
 *   - What it would believe of a front-end that its guest has taken over, it is not told (guard.h).
 *   - When the disk has become larger, the front-end hears of it (notice.h).
 */

#include <stdbool.h>

#include <systemd/sd-event.h>

#include "channel.h"
#include "daemon.h"
#include "frontend.h"
#include "guard.h"
#include "notice.h"
#include "session.h"

struct relay {
        sd_event *event;
        int listen_fd;
        struct daemon daemon;
        char **argv;                    /* of the daemon */
        bool stands_by;                 /* what runs is the understudy */
        bool is_ending;
        sd_event_source *accepting;

        /* Of the front-end that is connected */
        struct vhost_channel front;
        struct vhost_frontend back;
        sd_event_source *front_io, *back_io;
        struct session session;
        struct notice notice;
        struct guard_offer offer;       /* what the daemon has told of itself */
        bool is_stopping;               /* the daemon is to close its connection */
        uint64_t protocol_features;     /* negotiated; those that the daemon is told are the session's */
        struct vhost_message waiting;   /* request 0: none. What is passed on when the daemon is there, or answered when it has done what it has taken */
};

/* understudy: NULL if it does not stand by. listen_fd: where front-ends connect. Errors of the daemon's end the event loop. */
int relay_start(struct relay *relay, sd_event *event, int listen_fd, char **argv, char **understudy);
void relay_done(struct relay *relay);

/* The disk is there. */
int relay_begin(struct relay *relay);

/* The disk has become larger, which the daemon knows: so many sectors. */
void relay_resized(struct relay *relay, uint64_t capacity);

/* Asks the daemon to end, which answers what it has taken; the event loop ends when it has. */
void relay_end(struct relay *relay);
