/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Mappings of files that a peer gave us, and may make shorter behind our back.
 *
 * Touching a page that is no longer there is a SIGBUS. vhost_mapping_guard() makes that page one of private zeros instead, and notes that the
 * mapping has lost it, so that one peer's mistake does not end a process that serves others.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vhost_mapping {
        void *base;                     /* as mmap() gave it; NULL: none */
        size_t length;
        void *start;                    /* what was asked for */
        int guard;                      /* a number of this file's; -1: there is no mapping */
};

#define VHOST_MAPPING_NONE { .guard = -1 }

/* Catches SIGBUS in this process, for the mappings below only: any other takes its usual course. Once is enough. */
int vhost_mapping_guard(void);

/*
 * Maps size bytes from offset on for reading and writing. The descriptor stays the caller's. Returns -EINVAL if there are not as many in the
 * file, or nothing is asked for, -ENODEV if it is no file of memory or of a file system, and -EMFILE if this process has 4096 mappings already: one more could not
 * be guarded, and its owner could end the process.
 */
int vhost_mapping_open(struct vhost_mapping *mapping, int fd, uint64_t offset, uint64_t size);
void vhost_mapping_close(struct vhost_mapping *mapping);

/* Whether a page of it has gone: what is read there since is nothing. */
bool vhost_mapping_is_lost(const struct vhost_mapping *mapping);
