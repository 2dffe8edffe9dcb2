/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domains and the table of them; see domain.h. */

#include "domain.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Xen 4.17: xl.cfg(5), event_channels; grant frames 64, maptrack frames 1024. Linux 6.1: drivers/xen/gntalloc.c, limit. */
static const struct emu_limits defaults_guest = {
        .handles = 1024,
        .ports = 1023,
        .shared_pages = 1024,
        .grants = 64 * 512,
        .maptrack = 1024 * 256,
};

/* What each can be raised to: as many ports as FIFO event channels have, as many grants as 16 bits of frames, and so on. */
static const struct emu_limits maxima = {
        .handles = 1u << 16,
        .ports = (1u << 17) - 1,
        .shared_pages = 1u << 20,
        .grants = 1u << 20,
        .maptrack = 1u << 20,
};

void domain_table_init(struct domain_table *table, uint32_t end) {
        assert(end > 0 && end <= EMU_DOMID_FIRST_RESERVED);

        *table = (struct domain_table) { .end = end };
}

void domain_table_done(struct domain_table *table) {
        assert(table->domains.n_used == 0);

        slots_done(&table->domains);
}

int domain_table_find(struct domain_table *table, struct domain *self, uint32_t untrusted_domid, struct domain **ret_domain) {
        struct domain *domain = untrusted_domid == EMU_DOMID_SELF ? self : slots_get(&table->domains, untrusted_domid);

        if (!domain)
                return -ESRCH;

        *ret_domain = domain;
        return 0;
}

struct domain *domain_table_next(struct domain_table *table, uint32_t domid) {
        return slots_next(&table->domains, &domid);
}

/* As domctl.c of Xen 4.17 does for XEN_DOMCTL_createdomain: the next number after the last one that nobody has. */
static int domid_choose(struct domain_table *table, uint32_t *ret_domid) {
        if (table->domains.n_used == 0) {
                *ret_domid = 0;
                return 0;
        }

        for (uint32_t n = 1, domid = table->rover; n < table->end; n++) {
                domid = domid + 1 < table->end ? domid + 1 : 1;
                if (!slots_get(&table->domains, domid)) {
                        *ret_domid = domid;
                        return 0;
                }
        }
        return -ENOSPC;
}

static int limit_choose(uint32_t wanted, uint32_t standard, uint32_t maximum, uint32_t *ret_limit) {
        if (wanted > maximum)
                return -ERANGE;

        *ret_limit = wanted > 0 ? wanted : standard;
        return 0;
}

static int limits_choose(const struct emu_limits *wanted, const struct emu_limits *standard, struct emu_limits *ret_limits) {
        int r;

        r = limit_choose(wanted->handles, standard->handles, maxima.handles, &ret_limits->handles);
        if (r == 0)
                r = limit_choose(wanted->ports, standard->ports, maxima.ports, &ret_limits->ports);
        if (r == 0)
                r = limit_choose(wanted->shared_pages, standard->shared_pages, maxima.shared_pages, &ret_limits->shared_pages);
        if (r == 0)
                r = limit_choose(wanted->grants, standard->grants, maxima.grants, &ret_limits->grants);
        if (r == 0)
                r = limit_choose(wanted->maptrack, standard->maptrack, maxima.maptrack, &ret_limits->maptrack);
        return r;
}

int domain_new(struct domain_table *table, const uint8_t uuid[16], uint32_t flags, const struct emu_limits *limits,
               struct domain **ret_domain) {
        struct emu_limits chosen;
        struct domain *domain;
        uint32_t domid;
        int r;

        r = domid_choose(table, &domid);
        if (r < 0)
                return r;

        /* Domain 0 serves everybody, so only the size of its tables limits it. */
        r = limits_choose(limits, domid == 0 ? &maxima : &defaults_guest, &chosen);
        if (r < 0)
                return r;

        domain = calloc(1, sizeof *domain);
        if (!domain)
                return -ENOMEM;

        domain->table = table;
        domain->domid = domid;
        domain->flags = flags;
        domain->limits = chosen;
        memcpy(domain->uuid, uuid, sizeof domain->uuid);
        LIST_INIT(&domain->handles);

        r = slots_set(&table->domains, domid, domain);
        if (r < 0) {
                free(domain);
                return r;
        }

        table->rover = domid;
        *ret_domain = domain;
        return 0;
}

struct domain *domain_free(struct domain *domain) {
        if (!domain)
                return NULL;

        assert(LIST_EMPTY(&domain->handles));
        assert(domain->ports.n_used == 0);
        assert(domain->grants.n_used == 0);

        slots_take(&domain->table->domains, domain->domid);
        slots_done(&domain->ports);
        slots_done(&domain->grants);
        free(domain);
        return NULL;
}

void domain_describe(const struct domain *domain, struct emu_domain_info *ret_info) {
        *ret_info = (struct emu_domain_info) {
                .domid = domain->domid,
                .flags = domain->flags,
                .handles = domain->n_handles,
                .ports = domain->ports.n_used,
                .shared_pages = domain->n_shared_pages,
                .grants = domain->grants.n_used,
                .maptrack = domain->n_maptrack,
                .limits = domain->limits,
        };
        memcpy(ret_info->uuid, domain->uuid, sizeof ret_info->uuid);
}
