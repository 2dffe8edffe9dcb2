/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that may be taken for something, counted. */

#include <stdbool.h>
#include <stdint.h>

struct budget {
        uint64_t limit, used;
};

static inline bool budget_take(struct budget *budget, uint64_t n) {
        if (n > budget->limit || budget->used > budget->limit - n)
                return false;
        budget->used += n;
        return true;
}

static inline void budget_return(struct budget *budget, uint64_t n) {
        budget->used -= n <= budget->used ? n : budget->used;
}
