/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which boot of the host this is, in the kernel's words: what a backend has written of its guests in another is not so any more. */

#include <stddef.h>

#define BOOT_ID_SIZE 40u                /* a UUID, and more than that */

int boot_id_read(char *text, size_t size);
