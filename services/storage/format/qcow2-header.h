/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the header of a qcow2 image says that decides whether we touch it (QEMU's docs/interop/qcow2.txt).
 *
 * An image can name other files as its backing file or its data file, and whoever opens it opens them too. So an image from
 * elsewhere must name none, and one in a storage repository only a disk of the same one, as qcow2. No I/O, and every byte is untrusted.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uuid.h"

#define QCOW2_HEADER_MAX 65536u         /* header, extensions and backing file name are in the first cluster: what has to be read */

struct qcow2_header {
        uint64_t size;                  /* what readers see */
        bool has_backing;
        struct uuid backing;            /* the disk that it is named after: UUID.qcow2 */
};

/*
 * Returns 0, or -EUCLEAN, and then *ret_reason is what is wrong: it is no such image, or one that we do not take. data: the beginning of
 * the file, n bytes, at least QCOW2_HEADER_MAX unless the file is shorter.
 */
int qcow2_header_decode(const uint8_t *untrusted_data, size_t n, struct qcow2_header *ret_header, const char **ret_reason);
