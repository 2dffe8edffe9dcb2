/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Shares and mappings for tests; see test-shares.h. */

#include "test-shares.h"

#include <errno.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

struct share *share_pages(struct machine *m, uint32_t n_pages, bool readonly) {
        struct share *share;

        g_assert_cmpint(share_new(m->domains[GRANTER], GRANTEE, n_pages, readonly, &share), ==, 0);
        g_assert_cmpuint(share->n_pages, ==, n_pages);
        return share;
}

struct emu_map_page page_of(const struct share *share, uint32_t page) {
        return (struct emu_map_page) { .domid = share->granter->domid, .ref = share->pages[page].ref };
}

/* Maps one page and returns its status; ret_mapping may be NULL, and then it is unmapped again. */
int16_t try_map(struct machine *m, uint32_t domid, struct emu_map_page page, bool readonly, struct mapping **ret_mapping) {
        struct mapping *mapping = NULL;
        int16_t status;
        int r = mapping_new(m->domains[domid], &page, 1, readonly, &status, &mapping);

        g_assert_cmpint(r, ==, status == GNTST_okay ? 0 : -EINVAL);
        g_assert_true((r == 0) == (mapping != NULL));
        if (ret_mapping)
                *ret_mapping = mapping;
        else if (mapping)
                mapping_end(mapping);
        return status;
}

struct mapping *map(struct machine *m, struct emu_map_page page, bool readonly) {
        struct mapping *mapping;

        g_assert_cmpint(try_map(m, GRANTEE, page, readonly, &mapping), ==, GNTST_okay);
        return mapping;
}
