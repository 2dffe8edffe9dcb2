/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a guest may do and have, apart from any connection of its frontend's. */

#include "guest.h"
#include "guest-private.h"

void guest_terms_set_limits(struct guest_terms *terms, const struct limits *limits) {
        uint64_t now = now_usec();

        terms->limits = *limits;
        rate_init(&terms->sockets_rate, limits->sockets_per_second, now);
        if (limits->bytes_per_second > 0)
                rate_init(&terms->bytes_rate, limits->bytes_per_second, now);
}

void guest_terms_done(struct guest_terms *terms) {
        policy_done(&terms->policy);
}
