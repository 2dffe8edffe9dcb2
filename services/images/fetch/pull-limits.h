/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a server can make this program spend: time, by a speed that it has to keep, and disk, by the size of what comes and of what comes out of it.
 *
 * They are of this process, which gets one image and ends.
 */

#include <stdbool.h>
#include <stdint.h>

struct limits {
        uint64_t speed;                 /* bytes/s: who is slower ... */
        uint64_t seconds;               /* ... for so long is given up */
        uint64_t size_max;              /* bytes, of what is downloaded and of the image, with its holes */
};

extern struct limits limits;            /* as limits_parse() has left it, or what docs/images.md says */

/* speed=BYTES,seconds=SECONDS,size=BYTES, each of which may be missing. -EINVAL. */
int limits_parse(const char *text);

/* An image, or what is downloaded, of so many bytes. -1: it is too large, and that has been said. */
int limits_check_size(uint64_t size);

/* There has to be room for n bytes more in the file system of a file. -1: there is not, and that has been said. */
int limits_check_room(int fd, uint64_t n);

/* n bytes are going to be written. Cheap: the file system is asked now and then. */
int limits_take_room(int fd, uint64_t n);

/* Was that, since an attempt began, as much as a server has to bring? */
bool limits_is_fast(uint64_t bytes, uint64_t msec);
