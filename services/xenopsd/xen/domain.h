/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Domains: what is done to them in a thread, where it may take its time. Results are libxl's. */

#include "facts.h"
#include "worker.h"

/* Which domain: one of that UUID, but not of the number `other`; of the number `domid`, unless that is FACTS_NO_DOMAIN. */
struct domain_id {
        char uuid[37];
        uint32_t domid, other;
};

/* Sets the number. ret_info may be NULL. ERROR_DOMAIN_NOTFOUND, also for one that is dying. */
int xen_domain_find(libxl_ctx *ctx, struct domain_id *id, libxl_dominfo *ret_info);

/* Has it not be there. */
int xen_domain_remove(libxl_ctx *ctx, const struct domain_id *id);

/* Makes a domain, paused, or nothing. Its number is set. */
int xen_domain_create(libxl_ctx *ctx, libxl_domain_config *config, struct domain_id *id);
