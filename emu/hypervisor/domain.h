/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Domains as the hypervisor knows them: a number, a uuid, limits, a table of ports and a table of grants.
 *
 * Nothing here knows of processes or sockets: who brings a domain to life and notices its death is life.h.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "protocol.h"
#include "slots.h"

struct handle;
struct life;

LIST_HEAD(handle_list, handle);

struct domain {
        struct domain_table *table;
        uint32_t domid;
        uint32_t flags;                 /* EMU_DOMAIN_* */
        uint8_t uuid[16];
        struct emu_limits limits;

        struct slots ports;             /* struct port, event.h */
        struct slots grants;            /* struct grant, grant.h */
        struct handle_list handles;     /* handle.h */
        struct life *life;              /* life.h */

        uint32_t n_handles;
        uint32_t n_maptrack;            /* other domains' pages this domain has mapped */
        uint32_t n_shared_pages;        /* pages it has offered through xen_gntalloc */
        uint32_t n_mapped_by_others;    /* times one of its pages is mapped; while there are any, a dead domain stays as a zombie */
};

struct domain_table {
        struct slots domains;
        uint32_t rover;                 /* the number given out last: the next one starts after it, so none is reused early */
        uint32_t end;                   /* numbers are below it */
};

/* end: domids are below it, at most EMU_DOMID_FIRST_RESERVED, as in Xen. */
void domain_table_init(struct domain_table *table, uint32_t end);

/* Every domain must be gone. */
void domain_table_done(struct domain_table *table);

/* Returns 0 and the domain that Xen would give to the caller for this number (self's for EMU_DOMID_SELF), or -ESRCH. */
int domain_table_find(struct domain_table *table, struct domain *self, uint32_t untrusted_domid, struct domain **ret_domain);

/* The first domain at or after domid, or NULL. */
struct domain *domain_table_next(struct domain_table *table, uint32_t domid);

/*
 * Makes a domain; the first one of a table is domain 0. In limits 0 stands for the default, which is more for domain 0.
 * Returns 0 and the domain, -ENOSPC if every number is in use, -ERANGE for a limit beyond what Xen could do, or -ENOMEM.
 */
int domain_new(struct domain_table *table, const uint8_t uuid[16], uint32_t flags, const struct emu_limits *limits,
               struct domain **ret_domain);

/* Its ports, grants and handles must be gone already. */
struct domain *domain_free(struct domain *domain);

void domain_describe(const struct domain *domain, struct emu_domain_info *ret_info);
