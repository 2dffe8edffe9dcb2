/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bytes that depend on all of their offset, so that a piece that is lost, doubled or swapped cannot look right. */

#include <stddef.h>
#include <stdint.h>

static inline void pattern_fill(uint64_t offset, uint8_t *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                data[i] = (uint8_t) (((offset + i + 1) * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}
