/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Grants; see grant.h. */

#include "grant.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "memory.h"

#define GRANT_MAPPED_MAX 255u           /* grant_table.c: an grant's pin counters have 8 bits */

static struct share *share_free(struct share *share) {
        if (!share)
                return NULL;

        if (share->writable)
                munmap(share->writable, (size_t) share->n_pages * EMU_PAGE_SIZE);
        if (share->readonly_fd >= 0)
                close(share->readonly_fd);
        if (share->memfd >= 0)
                close(share->memfd);
        free(share);
        return NULL;
}

/* Ends those references of an ended share that nobody has mapped. The share is gone with the last one. */
static void share_collect(struct share *share) {
        struct domain *granter = share->granter;

        assert(share->ended);

        for (uint32_t i = 0; i < share->n_pages; i++) {
                struct grant *grant = &share->pages[i];

                if (grant->ref == 0 || grant->n_mapped > 0)
                        continue;

                slots_take(&granter->grants, grant->ref);
                grant->ref = 0;
                share->n_live--;
                if (share->counted)
                        granter->n_shared_pages--;
        }

        if (share->n_live == 0)
                share_free(share);
}

static int share_allocate(struct domain *granter, uint32_t grantee_domid, uint32_t n_pages, bool readonly, struct share **ret_share) {
        struct share *share;

        share = calloc(1, sizeof *share + n_pages * sizeof share->pages[0]);
        if (!share)
                return -ENOMEM;

        share->granter = granter;
        share->grantee_domid = grantee_domid;
        share->readonly = readonly;
        share->ready = !readonly;
        share->readonly_fd = -1;
        share->n_pages = n_pages;
        for (uint32_t i = 0; i < n_pages; i++)
                share->pages[i].share = share;

        share->memfd = memory_new("grant", n_pages, readonly ? 0 : F_SEAL_SEAL);
        if (share->memfd < 0) {
                int r = share->memfd;

                share_free(share);
                return r;
        }

        *ret_share = share;
        return 0;
}

int share_new(struct domain *granter, uint32_t untrusted_grantee, uint32_t untrusted_count, bool readonly, struct share **ret_share) {
        uint32_t grantee = untrusted_grantee == EMU_DOMID_SELF ? granter->domid : untrusted_grantee;
        struct share *share;
        int r;

        if (untrusted_count == 0 || untrusted_count > EMU_SHARE_PAGES_MAX || grantee >= EMU_DOMID_FIRST_RESERVED)
                return -EINVAL;
        if (untrusted_count > granter->limits.shared_pages - granter->n_shared_pages)
                return -ENOSPC;

        r = share_allocate(granter, grantee, untrusted_count, readonly, &share);
        if (r < 0)
                return r;

        share->counted = true;
        for (uint32_t i = 0; i < untrusted_count; i++) {
                r = slots_add(&granter->grants, EMU_REF_FIRST_FREE, granter->limits.grants, &share->pages[i], &share->pages[i].ref);
                if (r < 0) {
                        share_end(share);
                        return r;
                }
                share->n_live++;
                granter->n_shared_pages++;
        }

        *ret_share = share;
        return 0;
}

int share_new_reserved(struct domain *granter, uint32_t ref, uint32_t grantee_domid, struct share **ret_share) {
        struct share *share;
        int r;

        assert(ref > 0 && ref < EMU_REF_FIRST_FREE);

        r = share_allocate(granter, grantee_domid, 1, false, &share);
        if (r < 0)
                return r;

        r = slots_set(&granter->grants, ref, &share->pages[0]);
        if (r < 0) {
                share_free(share);
                return r;
        }

        share->pages[0].ref = ref;
        share->n_live = 1;
        *ret_share = share;
        return 0;
}

int share_seal(struct share *share) {
        void *p;

        if (!share->readonly || share->ready)
                return -EINVAL;

        /* The owner's death may have to clear a byte, and nobody can map it for writing any more after the seal. */
        p = mmap(NULL, (size_t) share->n_pages * EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, share->memfd, 0);
        if (p == MAP_FAILED)
                return -errno;

        /* The owner may have sealed it against more seals: then it stays unready, and trying again must cost nothing. */
        if (fcntl(share->memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
                int r = -errno;

                munmap(p, (size_t) share->n_pages * EMU_PAGE_SIZE);
                return r;
        }

        share->writable = p;
        share->ready = true;
        return 0;
}

static void share_clear_byte(struct share *share, uint32_t offset) {
        if (share->writable)
                *(volatile uint8_t *) (share->writable + offset) = 0;
        else
                (void) pwrite(share->memfd, "", 1, offset);
}

/* Does what was asked for, once. share: where offset counts from, if a byte is to be cleared. */
static void notify_fire(struct notify *notify, struct share *share, uint32_t offset) {
        if (notify->actions & EMU_NOTIFY_CLEAR_BYTE)
                share_clear_byte(share, offset);
        if (notify->actions & EMU_NOTIFY_SEND_EVENT)
                port_notify(notify->port);

        port_unref(notify->port);
        *notify = (struct notify) {};
}

static int notify_set(struct notify *notify, uint32_t n_pages, uint32_t untrusted_actions, uint32_t untrusted_offset,
                      struct port *port) {
        if (untrusted_actions & ~(EMU_NOTIFY_CLEAR_BYTE | EMU_NOTIFY_SEND_EVENT))
                return -EINVAL;
        if ((untrusted_actions & EMU_NOTIFY_CLEAR_BYTE) && untrusted_offset >= n_pages * EMU_PAGE_SIZE)
                return -EINVAL;
        if ((untrusted_actions & EMU_NOTIFY_SEND_EVENT) && !port)
                return -EINVAL;

        /* The new reference first: it may be the same port, which nothing else keeps open. */
        port = untrusted_actions & EMU_NOTIFY_SEND_EVENT ? port_ref(port) : NULL;
        port_unref(notify->port);
        *notify = (struct notify) { .actions = untrusted_actions, .offset = untrusted_offset, .port = port };
        return 0;
}

int share_set_notify(struct share *share, uint32_t untrusted_actions, uint32_t untrusted_offset, struct port *port) {
        return notify_set(&share->notify, share->n_pages, untrusted_actions, untrusted_offset, port);
}

void share_end(struct share *share) {
        notify_fire(&share->notify, share, share->notify.offset);
        share->ended = true;
        share_collect(share);
}

/* Whether domain may map the page, in the order in which Xen looks (map_grant_ref, _set_status_v1). */
static int16_t grant_check(struct domain *domain, const struct emu_map_page *untrusted, bool readonly, struct grant **ret_entry) {
        struct domain *granter = slots_get(&domain->table->domains, untrusted->domid);
        struct grant *grant;

        if (!granter || (granter->flags & EMU_DOMAIN_DYING))
                return GNTST_bad_domain;
        if (domain->n_maptrack >= domain->limits.maptrack)
                return GNTST_no_device_space;
        if (untrusted->ref >= granter->limits.grants)
                return GNTST_bad_gntref;

        grant = slots_get(&granter->grants, untrusted->ref);
        if (!grant || !grant->share->ready || grant->share->grantee_domid != domain->domid)
                return GNTST_general_error;
        if (grant->share->readonly && !readonly)
                return GNTST_general_error;
        if (grant->n_mapped >= GRANT_MAPPED_MAX)
                return GNTST_no_space;

        *ret_entry = grant;
        return GNTST_okay;
}

static int share_open_readonly(struct share *share) {
        int fd;

        if (share->readonly_fd >= 0)
                return 0;

        fd = memory_open_readonly(share->memfd);
        if (fd < 0)
                return fd;

        share->readonly_fd = fd;
        return 0;
}

static void grant_pin(struct grant *grant, struct domain *domain) {
        grant->n_mapped++;
        grant->share->granter->n_mapped_by_others++;
        domain->n_maptrack++;
}

static void grant_unpin(struct grant *grant, struct domain *domain) {
        grant->n_mapped--;
        grant->share->granter->n_mapped_by_others--;
        domain->n_maptrack--;
        if (grant->n_mapped == 0 && grant->share->ended)
                share_collect(grant->share);
}

int mapping_new(struct domain *domain, const struct emu_map_page *untrusted_pages, uint32_t n_pages, bool readonly,
                int16_t *ret_statuses, struct mapping **ret_mapping) {
        struct mapping *mapping;
        int r = 0;

        mapping = calloc(1, sizeof *mapping + n_pages * sizeof mapping->pages[0]);
        if (!mapping)
                return -ENOMEM;

        mapping->domain = domain;
        mapping->readonly = readonly;

        for (uint32_t i = 0; i < n_pages; i++) {
                struct grant *grant;

                ret_statuses[i] = grant_check(domain, &untrusted_pages[i], readonly, &grant);
                if (ret_statuses[i] != GNTST_okay) {
                        r = -EINVAL;    /* as gntdev.c, which has no other error for a refused page; the others are looked at too */
                        continue;
                }
                grant_pin(grant, domain);
                mapping->pages[mapping->n_pages++] = grant;
                if (readonly && r == 0)
                        r = share_open_readonly(grant->share);
        }

        if (r < 0) {
                mapping_end(mapping);
                return r;
        }
        *ret_mapping = mapping;
        return 0;
}

int mapping_set_notify(struct mapping *mapping, uint32_t untrusted_actions, uint32_t untrusted_offset, struct port *port) {
        if ((untrusted_actions & EMU_NOTIFY_CLEAR_BYTE) && mapping->readonly)
                return -EINVAL;

        return notify_set(&mapping->notify, mapping->n_pages, untrusted_actions, untrusted_offset, port);
}

struct mapping *mapping_end(struct mapping *mapping) {
        struct notify *notify = &mapping->notify;
        struct grant *grant = NULL;
        uint32_t offset = 0;

        if (notify->actions & EMU_NOTIFY_CLEAR_BYTE) {
                grant = mapping->pages[notify->offset / EMU_PAGE_SIZE];
                offset = grant_page(grant) * EMU_PAGE_SIZE + notify->offset % EMU_PAGE_SIZE;
        }
        notify_fire(notify, grant ? grant->share : NULL, offset);

        for (uint32_t i = 0; i < mapping->n_pages; i++)
                grant_unpin(mapping->pages[i], mapping->domain);
        free(mapping);
        return NULL;
}

int grant_fd(const struct grant *grant, bool readonly) {
        return readonly ? grant->share->readonly_fd : grant->share->memfd;
}

uint32_t grant_page(const struct grant *grant) {
        return grant - grant->share->pages;
}
