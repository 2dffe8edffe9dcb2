/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Variables that let go of what they hold at the end of their scope. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_memory(void *p) {
        free(*(void **) p);
}

static inline void cleanup_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static inline void cleanup_file(FILE **f) {
        if (*f)
                fclose(*f);
}

static inline void cleanup_directory(DIR **d) {
        if (*d)
                closedir(*d);
}

#define AUTO_FREE __attribute__((cleanup(cleanup_memory)))
#define AUTO_CLOSE __attribute__((cleanup(cleanup_fd)))
#define AUTO_FILE __attribute__((cleanup(cleanup_file))) FILE
#define AUTO_DIRECTORY __attribute__((cleanup(cleanup_directory))) DIR
