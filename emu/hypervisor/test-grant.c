/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Grants: who may map what and for how long, and limits at both sides. */

#include <errno.h>
#include <glib.h>
#include <stdint.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "test-shares.h"

static const struct emu_limits few = { .shared_pages = 4, .maptrack = 3 };
static const struct emu_limits few_grants = { .grants = EMU_REF_FIRST_FREE + 3 };
static const struct emu_limits few_mappings = { .maptrack = 300 };

static void set_up(struct machine *m, gconstpointer limits) {
        machine_init(m, limits);
}

static void tear_down(struct machine *m, gconstpointer limits) {
        machine_done(m);
}

static int try_share(struct machine *m, uint32_t grantee, uint32_t n_pages) {
        struct share *share = NULL;
        unsigned int n_fds = count_fds();
        int r = share_new(m->domains[GRANTER], grantee, n_pages, false, &share);

        g_assert_true((r == 0) == (share != NULL));
        if (share)
                share_end(share);
        g_assert_cmpuint(count_fds(), ==, n_fds);
        return r;
}

/*
 * Who may map, and how long
 */

static void test_only_the_grantee(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);

        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_okay);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_okay);
        g_assert_cmpint(try_map(m, 0, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        g_assert_cmpint(try_map(m, GRANTER, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        share_end(share);
}

static void test_to_itself(struct machine *m, gconstpointer limits) {
        struct mapping *mapping;
        struct share *share;

        g_assert_cmpint(share_new(m->domains[GRANTER], EMU_DOMID_SELF, 1, false, &share), ==, 0);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        g_assert_cmpint(try_map(m, GRANTER, page_of(share, 0), false, &mapping), ==, GNTST_okay);
        share_end(share);
        mapping_end(mapping);
}

static void test_wrong_names(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        static const struct {
                uint32_t domid, ref;
                int16_t status;
        } wrong[] = {
                { 3, EMU_REF_FIRST_FREE, GNTST_bad_domain },
                { EMU_DOMID_SELF, EMU_REF_FIRST_FREE, GNTST_bad_domain },
                { UINT32_MAX, EMU_REF_FIRST_FREE, GNTST_bad_domain },
                { 0, EMU_REF_FIRST_FREE, GNTST_general_error },
                { GRANTER, 0, GNTST_general_error },
                { GRANTER, EMU_REF_FIRST_FREE - 1, GNTST_general_error },
                { GRANTER, EMU_REF_FIRST_FREE + 1, GNTST_general_error },
                { GRANTER, 64 * 512 - 1, GNTST_general_error },
                { GRANTER, 64 * 512, GNTST_bad_gntref },
                { GRANTER, UINT32_MAX, GNTST_bad_gntref },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                const struct emu_map_page page = { .domid = wrong[i].domid, .ref = wrong[i].ref };

                g_assert_cmpint(try_map(m, GRANTEE, page, false, NULL), ==, wrong[i].status);
        }
        m->domains[GRANTER]->flags |= EMU_DOMAIN_DYING;
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_bad_domain);
        share_end(share);
}

static void test_revoked(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false), *next;
        struct emu_map_page stale = page_of(share, 0);

        share_end(share);
        g_assert_cmpint(try_map(m, GRANTEE, stale, false, NULL), ==, GNTST_general_error);

        /* The number comes back for somebody else, who is not the one that remembers it. */
        g_assert_cmpint(share_new(m->domains[GRANTER], 0, 1, false, &next), ==, 0);
        g_assert_cmpuint(next->pages[0].ref, ==, stale.ref);
        g_assert_cmpint(try_map(m, GRANTEE, stale, false, NULL), ==, GNTST_general_error);
        g_assert_cmpint(try_map(m, 0, stale, false, NULL), ==, GNTST_okay);
        share_end(next);
}

static void test_ends_with_the_last_unmap(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct emu_map_page kept = page_of(share, 1), gone = page_of(share, 0);
        struct mapping *first = map(m, kept, false), *second;

        share_end(share);
        g_assert_cmpuint(m->domains[GRANTER]->grants.n_used, ==, 1);
        g_assert_cmpuint(m->domains[GRANTER]->n_shared_pages, ==, 1);
        g_assert_cmpuint(m->domains[GRANTER]->n_mapped_by_others, ==, 1);
        g_assert_cmpint(try_map(m, GRANTEE, gone, false, NULL), ==, GNTST_general_error);

        second = map(m, kept, true);
        mapping_end(first);
        g_assert_cmpint(try_map(m, GRANTEE, kept, false, NULL), ==, GNTST_okay);
        mapping_end(second);
        g_assert_cmpint(try_map(m, GRANTEE, kept, false, NULL), ==, GNTST_general_error);
        g_assert_cmpuint(m->domains[GRANTER]->grants.n_used, ==, 0);
}

/* The pages of one share end one by one, in one mapping and twice in it. */
static void test_one_mapping_of_many_pages(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false);
        struct emu_map_page pages[] = { page_of(share, 2), page_of(share, 0), page_of(share, 2) };
        int16_t statuses[G_N_ELEMENTS(pages)];
        struct mapping *mapping;

        g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, G_N_ELEMENTS(pages), false, statuses, &mapping), ==, 0);
        g_assert_cmpuint(m->domains[GRANTEE]->n_maptrack, ==, 3);
        share_end(share);
        g_assert_cmpuint(m->domains[GRANTER]->grants.n_used, ==, 2);
        g_assert_cmpuint(m->domains[GRANTER]->n_mapped_by_others, ==, 3);
        mapping_end(mapping);
        g_assert_cmpuint(m->domains[GRANTER]->grants.n_used, ==, 0);
}

static void test_all_or_nothing(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct emu_map_page pages[] = { page_of(share, 0), { .domid = 7 }, page_of(share, 1), { .domid = GRANTER } };
        int16_t statuses[G_N_ELEMENTS(pages)];
        struct mapping *mapping = NULL;

        g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, G_N_ELEMENTS(pages), true, statuses, &mapping), ==, -EINVAL);
        g_assert_null(mapping);
        g_assert_cmpint(statuses[0], ==, GNTST_okay);
        g_assert_cmpint(statuses[1], ==, GNTST_bad_domain);
        g_assert_cmpint(statuses[2], ==, GNTST_okay);
        g_assert_cmpint(statuses[3], ==, GNTST_general_error);
        g_assert_cmpuint(m->domains[GRANTEE]->n_maptrack, ==, 0);
        g_assert_cmpuint(m->domains[GRANTER]->n_mapped_by_others, ==, 0);
        share_end(share);
}

static void test_memory_is_shared(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mapping = map(m, page_of(share, 1), false);
        uint32_t page = grant_page(mapping->pages[0]);
        char byte = 'a';

        g_assert_cmpuint(page, ==, 1);
        g_assert_cmpint(pwrite(share->memfd, "x", 1, EMU_PAGE_SIZE + 5), ==, 1);
        g_assert_cmpint(pread(grant_fd(mapping->pages[0], false), &byte, 1, page * EMU_PAGE_SIZE + 5), ==, 1);
        g_assert_cmpint(byte, ==, 'x');
        g_assert_cmpint(pread(share->memfd, &byte, 1, 5), ==, 1);
        g_assert_cmpint(byte, ==, 0);
        mapping_end(mapping);
        share_end(share);
}

/*
 * Limits
 */

static void test_share_arguments(struct machine *m, gconstpointer limits) {
        g_assert_cmpint(try_share(m, GRANTEE, 0), ==, -EINVAL);
        g_assert_cmpint(try_share(m, GRANTEE, 1), ==, 0);
        g_assert_cmpint(try_share(m, GRANTEE, EMU_SHARE_PAGES_MAX), ==, 0);
        g_assert_cmpint(try_share(m, GRANTEE, EMU_SHARE_PAGES_MAX + 1), ==, -EINVAL);
        g_assert_cmpint(try_share(m, GRANTEE, UINT32_MAX), ==, -EINVAL);
        g_assert_cmpint(try_share(m, EMU_DOMID_FIRST_RESERVED - 1, 1), ==, 0); /* need not exist yet */
        g_assert_cmpint(try_share(m, EMU_DOMID_SELF, 1), ==, 0);
        g_assert_cmpint(try_share(m, EMU_DOMID_SELF + 1, 1), ==, -EINVAL);
        g_assert_cmpint(try_share(m, UINT32_MAX, 1), ==, -EINVAL);
}

static void test_shared_pages_limit(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false);
        struct mapping *mapping;

        g_assert_cmpint(try_share(m, GRANTEE, 2), ==, -ENOSPC);
        g_assert_cmpint(try_share(m, GRANTEE, 1), ==, 0);
        g_assert_cmpuint(m->domains[GRANTER]->n_shared_pages, ==, 3);

        mapping = map(m, page_of(share, 0), false);
        share_end(share); /* a page still mapped still counts */
        g_assert_cmpint(try_share(m, GRANTEE, 4), ==, -ENOSPC);
        g_assert_cmpint(try_share(m, GRANTEE, 3), ==, 0);
        mapping_end(mapping);
        g_assert_cmpint(try_share(m, GRANTEE, 5), ==, -ENOSPC);
        g_assert_cmpint(try_share(m, GRANTEE, 4), ==, 0);
}

static void test_grants_limit(struct machine *m, gconstpointer limits) {
        struct share *share;

        g_assert_cmpint(try_share(m, GRANTEE, 4), ==, -ENOSPC);
        g_assert_cmpuint(m->domains[GRANTER]->grants.n_used, ==, 0);
        g_assert_cmpuint(m->domains[GRANTER]->n_shared_pages, ==, 0);
        share = share_pages(m, 3, false);
        for (uint32_t i = 0; i < 3; i++)
                g_assert_cmpuint(share->pages[i].ref, ==, EMU_REF_FIRST_FREE + i);
        g_assert_cmpint(try_share(m, GRANTEE, 1), ==, -ENOSPC);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 2), false, NULL), ==, GNTST_okay);
        share_end(share);
        g_assert_cmpint(try_share(m, GRANTEE, 3), ==, 0);
}

static void test_maptrack_limit(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 4, false);
        struct emu_map_page pages[] = { page_of(share, 0), page_of(share, 1), page_of(share, 2), page_of(share, 3) };
        struct mapping *mapping = NULL;
        int16_t statuses[4];

        g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, 4, false, statuses, &mapping), ==, -EINVAL);
        g_assert_cmpint(statuses[2], ==, GNTST_okay);
        g_assert_cmpint(statuses[3], ==, GNTST_no_device_space);
        g_assert_cmpuint(m->domains[GRANTEE]->n_maptrack, ==, 0);

        g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, 3, false, statuses, &mapping), ==, 0);
        g_assert_cmpint(try_map(m, GRANTEE, pages[3], false, NULL), ==, GNTST_no_device_space);
        mapping_end(mapping);
        g_assert_cmpint(try_map(m, GRANTEE, pages[3], false, NULL), ==, GNTST_okay);
        share_end(share);
}

static void test_255_mappings(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mappings[255];

        for (size_t i = 0; i < 255; i++)
                mappings[i] = map(m, page_of(share, 0), i % 2);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_no_space);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 1), false, NULL), ==, GNTST_okay);
        mapping_end(mappings[0]);
        mappings[0] = map(m, page_of(share, 0), false);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_no_space);
        share_end(share);
        for (size_t i = 0; i < 255; i++)
                mapping_end(mappings[i]);
}

static void test_no_descriptors(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false), *none = NULL;
        struct emu_map_page page = page_of(share, 0);
        struct mapping *mapping = NULL;
        int16_t status;

        machine_exhaust_fds(true);
        g_assert_cmpint(share_new(m->domains[GRANTER], GRANTEE, 1, false, &none), ==, -EMFILE);
        g_assert_cmpint(mapping_new(m->domains[GRANTEE], &page, 1, true, &status, &mapping), ==, -EMFILE);
        g_assert_null(mapping);
        g_assert_cmpint(try_map(m, GRANTEE, page, false, NULL), ==, GNTST_okay);
        machine_exhaust_fds(false);
        g_assert_null(none);
        g_assert_cmpuint(m->domains[GRANTER]->n_mapped_by_others, ==, 0);
        share_end(share);
}

static void test_descriptors(struct machine *m, gconstpointer limits) {
        unsigned int n_fds = count_fds();
        struct share *share = share_pages(m, 3, false);
        struct mapping *first, *second;

        g_assert_cmpuint(count_fds(), ==, n_fds + 1);
        first = map(m, page_of(share, 0), true);
        second = map(m, page_of(share, 1), true);
        g_assert_cmpuint(count_fds(), ==, n_fds + 2);
        mapping_end(first);
        share_end(share);
        g_assert_cmpuint(count_fds(), ==, n_fds + 2);
        mapping_end(second);
        g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void test_reserved(struct machine *m, gconstpointer limits) {
        struct share *share;

        g_assert_cmpint(share_new_reserved(m->domains[GRANTER], EMU_REF_XENSTORE, 0, &share), ==, 0);
        g_assert_cmpuint(m->domains[GRANTER]->n_shared_pages, ==, 0);
        g_assert_cmpint(try_share(m, GRANTEE, 4), ==, 0);
        g_assert_cmpint(try_map(m, 0, (struct emu_map_page) { GRANTER, EMU_REF_XENSTORE }, false, NULL), ==, GNTST_okay);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        share_end(share);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, limits, test) g_test_add("/grant/" path, struct machine, limits, set_up, test, tear_down)
        add("only-the-named-grantee-can-map", NULL, test_only_the_grantee);
        add("a-domain-may-grant-to-itself", NULL, test_to_itself);
        add("unknown-domain-or-reference-is-refused", NULL, test_wrong_names);
        add("a-revoked-reference-is-refused-also-when-reused", NULL, test_revoked);
        add("a-mapped-reference-ends-with-the-last-unmap", &few_mappings, test_ends_with_the_last_unmap);
        add("one-mapping-of-many-pages", NULL, test_one_mapping_of_many_pages);
        add("a-refused-page-leaves-none-mapped", NULL, test_all_or_nothing);
        add("memory-is-shared-at-the-right-page", NULL, test_memory_is_shared);
        add("pages-and-grantees-have-bounds", NULL, test_share_arguments);
        add("one-shared-page-too-many-is-ENOSPC", &few, test_shared_pages_limit);
        add("one-grant-too-many-is-ENOSPC", &few_grants, test_grants_limit);
        add("one-mapped-page-too-many-is-no-device-space", &few, test_maptrack_limit);
        add("a-page-can-be-mapped-255-times", &few_mappings, test_255_mappings);
        add("without-descriptors-it-is-EMFILE", NULL, test_no_descriptors);
        add("descriptors-are-one-or-two-of-a-share", NULL, test_descriptors);
        add("reserved-references-do-not-count", &few, test_reserved);
        return g_test_run();
}
