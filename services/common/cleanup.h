/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Variables that let go of what they hold at the end of their scope. */

#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_memory(void *p) {
        free(*(void **) p);
}

static inline void cleanup_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_memory)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_fd)))
#define AUTO(function) __attribute__((cleanup(function)))
