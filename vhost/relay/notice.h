/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Notices: a disk has become larger, and the front-end is to hear of it. The export of qemu-storage-daemon (as of 7.2) goes on showing the size with which it was made, and
 * sends no notice. So the size is put into what it answers, and the relay has the channel to the front-end for itself. The daemon does not hear of that channel, so it has no
 * messages of its own there.
 *
 * Nobody waits for the front-end here: a notice asks for no reply, and what the front-end sends on this channel is not read.
 */

#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "message.h"

struct notice {
        uint64_t capacity;              /* sectors; 0: what the daemon says. Outlives connections, as the daemon does */
        bool is_due;                    /* the front-end may have been told something else, and has not asked since */
        struct vhost_channel channel;   /* "back-end channel": to the front-end */
};

#define NOTICE_NONE { .channel = VHOST_CHANNEL_NONE }

/* A front-end has connected, maybe one who was told by a relay before this one; it has gone. */
void notice_begin(struct notice *notice);
void notice_end(struct notice *notice);

/* SET_BACKEND_REQ_FD: its descriptor is taken out of the message. In place of an earlier one. */
int notice_open(struct notice *notice, struct vhost_message *message);

void notice_resized(struct notice *notice, uint64_t capacity);

/* The daemon's reply to GET_CONFIG, as the front-end is to have it. */
void notice_correct(struct notice *notice, struct vhost_message *reply);

/* Sends one if it is due. To be called only when the front-end may be sent any. */
void notice_send(struct notice *notice);
