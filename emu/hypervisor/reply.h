/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A reply under construction: what protocol.h says follows struct emu_reply, and the descriptors beside it. */

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct reply {
        size_t n_body;
        size_t n_fds;
        int fds[EMU_FDS_MAX];           /* belong to whoever put them here */
        _Alignas(8) uint8_t body[EMU_REPLY_MAX - sizeof(struct emu_reply)];
};

static inline void reply_init(struct reply *reply) {
        reply->n_body = 0;
        reply->n_fds = 0;
}
