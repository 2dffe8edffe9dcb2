/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The dirty log: a bit for each page of the guest's memory that a device has written, shared with the front-end ("Migration"). */

#include <stdint.h>

#include "mapping.h"

#define VHOST_LOG_PAGE 4096u

struct vhost_log {
        struct vhost_mapping mapping;
        uint64_t size;                  /* bytes */
};

#define VHOST_LOG_NONE { .mapping = VHOST_MAPPING_NONE }

/* size bytes of the file from offset on; its descriptor stays the caller's. Errors are those of vhost_mapping_open(). */
int vhost_log_open(struct vhost_log *log, int fd, uint64_t offset, uint64_t size);
void vhost_log_close(struct vhost_log *log);

/* Marks what was written. Pages that the log does not cover are left out: nobody can be told of them. */
void vhost_log_write(const struct vhost_log *log, uint64_t guest_address, uint64_t size);
