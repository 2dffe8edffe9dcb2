/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A fuzzer's input, taken piece by piece; behind its end, all is zero. */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t n;
};

static inline void next_bytes(struct input *input, void *to, size_t size) {
        size_t n = size < input->n ? size : input->n;

        memset(to, 0, size);
        memcpy(to, input->data, n);
        input->data += n;
        input->n -= n;
}

/* A number of so many bytes, at most four. */
static inline uint32_t next(struct input *input, size_t size) {
        uint32_t number = 0;

        next_bytes(input, &number, size);
        return number;
}
