/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How large a disk may be. The storage service refuses more, and xcpctl says so of a file, with the line, before it asks. */

#include <stdint.h>

#define VDI_SIZE_MAX (UINT64_C(64) << 40)       /* what QEMU is known to work with */
