/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is not taken for a raw disk, though it would have to be, as it is neither qcow2 nor zstd: images of other programs' formats, and what is compressed or
 * packed otherwise. A disk does not begin so, and no guest would boot from it.
 */

#include <stddef.h>
#include <stdint.h>

#define FOREIGN_SIZE 512u               /* so much of the beginning tells */

/* What it is, and what makes a disk of it, for a person; NULL: nothing that is known here. */
const char *foreign_format(const uint8_t *data, size_t n);
