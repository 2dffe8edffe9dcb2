/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Notices: the size in the configuration space, and the message. */

#include "notice.h"

#include <endian.h>
#include <string.h>
#include <unistd.h>

#define CAPACITY_SIZE ((uint32_t) sizeof(uint64_t))     /* VIRTIO 1.2 §5.2.4: the configuration space of a block device begins with it */

/* QEMU, when it connects again, goes on with the configuration space that it had, without a question. */
void notice_begin(struct notice *notice) {
        notice->is_due = true;
}

void notice_end(struct notice *notice) {
        notice->is_due = false;
        vhost_channel_close(&notice->channel);
}

int notice_open(struct notice *notice, struct vhost_message *message) {
        int fd = vhost_message_take_fd(message, 0), r;

        vhost_channel_close(&notice->channel);
        r = vhost_channel_open(&notice->channel, fd);
        if (r < 0)
                close(fd);
        return r;
}

void notice_resized(struct notice *notice, uint64_t capacity) {
        notice->capacity = capacity;
        notice->is_due = true;
}

void notice_correct(struct notice *notice, struct vhost_message *reply) {
        const uint64_t capacity = htole64(notice->capacity);
        uint32_t offset = reply->payload.config.offset, n;

        /* Empty: how a daemon says that it cannot. */
        if (reply->request != VHOST_USER_GET_CONFIG || reply->size <= VHOST_CONFIG_HEADER || offset >= CAPACITY_SIZE)
                return;
        n = reply->size - VHOST_CONFIG_HEADER;
        if (n > CAPACITY_SIZE - offset)
                n = CAPACITY_SIZE - offset;
        if (notice->capacity != 0)
                memcpy(reply->payload.config.bytes, (const uint8_t *) &capacity + offset, n);
        notice->is_due = false;
}

void notice_send(struct notice *notice) {
        const struct vhost_message message = { .request = VHOST_BACKEND_CONFIG_CHANGE, .flags = VHOST_FLAG_VERSION };
        int r;

        if (!notice->is_due || notice->channel.fd < 0)
                return;
        notice->is_due = false;
        /* If there is no room, there are notices that the front-end has not read. They tell of this change too: it reads the space after them. */
        r = vhost_channel_must_flush(&notice->channel) ? vhost_channel_flush(&notice->channel) : vhost_channel_send(&notice->channel, &message);
        if (r < 0)
                vhost_channel_close(&notice->channel);  /* it has closed its end: it does not want to hear */
}
