/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Grants: pages that a domain offers to one other domain, and the mappings of them, after xen/common/grant_table.c of Xen 4.17 and
 * drivers/xen/gntalloc.c and gntdev.c of Linux 6.1.
 *
 * A share is what one gntalloc call makes: pages of one memfd, each under a grant reference of its own. A mapping is what one gntdev
 * call makes. When a share ends, each of its references ends as soon as nobody has that page mapped; until then the page can still
 * be mapped again, as in Xen, where an grant in use cannot be taken back.
 */

#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "event.h"

struct share;

struct grant {
        struct share *share;
        uint32_t ref;                   /* 0 once the reference has ended */
        uint32_t n_mapped;
};

/* What happens when its owner unmaps or dies. */
struct notify {
        uint32_t actions;               /* EMU_NOTIFY_* */
        uint32_t offset;
        struct port *port;              /* holds a reference */
};

struct share {
        struct domain *granter;
        uint32_t grantee_domid;
        int memfd;
        int readonly_fd;                /* -1 until a reader needs it */
        bool readonly;
        bool ready;                     /* may be mapped: a read-only share is sealed first */
        bool ended;
        bool counted;                   /* against shared_pages; the toolstack's own are not */
        uint8_t *writable;              /* the hypervisor's view of a sealed share */
        struct notify notify;
        uint32_t n_pages;
        uint32_t n_live;                /* references that have not ended */
        struct grant pages[];   /* by page */
};

struct mapping {
        struct domain *domain;
        bool readonly;
        struct notify notify;
        uint32_t n_pages;
        struct grant *pages[];
};

/*
 * Offers count new pages to a domain, which need not exist yet. Returns 0 and the share, -EINVAL for a count out of range or a
 * domid that no domain can have, -ENOSPC beyond a limit of the domain, or -ENOMEM, -EMFILE.
 */
int share_new(struct domain *granter, uint32_t untrusted_grantee, uint32_t untrusted_count, bool readonly, struct share **ret_share);

/* Offers one page under a reserved reference, as a toolstack does for the store's ring. */
int share_new_reserved(struct domain *granter, uint32_t ref, uint32_t grantee_domid, struct share **ret_share);

/* The owner has its writable view: from here on nobody else can have one. Returns 0, -EINVAL if there is nothing to seal, ... */
int share_seal(struct share *share);

/* The owner gives up the share: notifies, and ends what can be ended. The caller's pointer is void. */
void share_end(struct share *share);

/* Returns 0, or -EINVAL for an offset outside or an action unknown or a port that is not given. Takes a reference to port. */
int share_set_notify(struct share *share, uint32_t untrusted_actions, uint32_t untrusted_offset, struct port *port);

/*
 * Maps pages into domain. Always writes the statuses, as many as pages. Returns 0 and the mapping, -EINVAL if some status is not
 * GNTST_okay, or -ENOMEM, -EMFILE.
 */
int mapping_new(struct domain *domain, const struct emu_map_page *untrusted_pages, uint32_t n_pages, bool readonly,
                int16_t *ret_statuses, struct mapping **ret_mapping);

/* Also -EINVAL if a byte is to be cleared in a mapping for reading. */
int mapping_set_notify(struct mapping *mapping, uint32_t untrusted_actions, uint32_t untrusted_offset, struct port *port);

/* Notifies and unmaps. Always returns NULL. */
struct mapping *mapping_end(struct mapping *mapping);

/* The descriptor to give to somebody who maps the page. It stays the share's. */
int grant_fd(const struct grant *grant, bool readonly);

/* Which page of that descriptor. */
uint32_t grant_page(const struct grant *grant);
