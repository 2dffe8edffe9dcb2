/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Domains: which numbers they get, and their limits. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "domain.h"

static const uint8_t uuid[16] = { 1, 2, 3 };
static const struct emu_limits standard;

struct fixture {
        struct domain_table table;
};

static void set_up(struct fixture *f, gconstpointer data) {
        domain_table_init(&f->table, 4);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        struct domain *domain;

        while ((domain = domain_table_next(&f->table, 0)))
                domain_free(domain);
        domain_table_done(&f->table);
}

static struct domain *create(struct fixture *f) {
        struct domain *domain;

        g_assert_cmpint(domain_new(&f->table, uuid, 0, &standard, &domain), ==, 0);
        return domain;
}

static int create_with(struct fixture *f, const struct emu_limits *limits, struct domain **ret_domain) {
        return domain_new(&f->table, uuid, 0, limits, ret_domain);
}

static void destroy(struct fixture *f, uint32_t domid) {
        struct domain *domain;

        g_assert_cmpint(domain_table_find(&f->table, NULL, domid, &domain), ==, 0);
        g_assert_cmpuint(domain->domid, ==, domid);
        g_assert_null(domain_free(domain));
}

static void test_ascending(struct fixture *f, gconstpointer data) {
        for (uint32_t i = 0; i < 4; i++)
                g_assert_cmpuint(create(f)->domid, ==, i);
}

static void test_not_reused_early(struct fixture *f, gconstpointer data) {
        create(f);
        g_assert_cmpuint(create(f)->domid, ==, 1);
        destroy(f, 1);
        g_assert_cmpuint(create(f)->domid, ==, 2);
        destroy(f, 2);
        g_assert_cmpuint(create(f)->domid, ==, 3);
        destroy(f, 3);
        g_assert_cmpuint(create(f)->domid, ==, 1); /* round once, and never 0 */
        g_assert_cmpuint(create(f)->domid, ==, 2);
}

static void test_all_in_use(struct fixture *f, gconstpointer data) {
        struct domain *untouched = NULL;

        for (uint32_t i = 0; i < 4; i++)
                create(f);
        g_assert_cmpint(create_with(f, &standard, &untouched), ==, -ENOSPC);
        g_assert_null(untouched);

        destroy(f, 2);
        g_assert_cmpuint(create(f)->domid, ==, 2);
        g_assert_cmpint(create_with(f, &standard, &untouched), ==, -ENOSPC);

        destroy(f, 2); /* the one given out last, and the only one free */
        g_assert_cmpuint(create(f)->domid, ==, 2);
}

static void test_only_domain_0(struct fixture *f, gconstpointer data) {
        struct domain_table table;
        struct domain *first, *second;

        domain_table_init(&table, 1);
        g_assert_cmpint(domain_new(&table, uuid, 0, &standard, &first), ==, 0);
        g_assert_cmpint(domain_new(&table, uuid, 0, &standard, &second), ==, -ENOSPC);
        domain_free(first);
        domain_table_done(&table);
}

static void test_zombie(struct fixture *f, gconstpointer data) {
        create(f);
        create(f)->flags |= EMU_DOMAIN_DYING;
        create(f);
        create(f);
        destroy(f, 2);
        destroy(f, 3);
        for (unsigned int i = 0; i < 10; i++) {
                struct domain *domain = create(f);

                g_assert_cmpuint(domain->domid, >, 1);
                domain_free(domain);
        }
}

static void test_find(struct fixture *f, gconstpointer data) {
        static const uint32_t unknown[] = { 2, 4, EMU_DOMID_SELF - 1, EMU_DOMID_SELF + 1, 0x7fff, 0x10000, UINT32_MAX };
        struct domain *first = create(f), *second = create(f), *found = NULL;

        for (size_t i = 0; i < G_N_ELEMENTS(unknown); i++) {
                g_assert_cmpint(domain_table_find(&f->table, second, unknown[i], &found), ==, -ESRCH);
                g_assert_null(found);
        }
        g_assert_cmpint(domain_table_find(&f->table, second, EMU_DOMID_SELF, &found), ==, 0);
        g_assert_true(found == second);
        g_assert_cmpint(domain_table_find(&f->table, second, 0, &found), ==, 0);
        g_assert_true(found == first);

        g_assert_true(domain_table_next(&f->table, 0) == first);
        g_assert_true(domain_table_next(&f->table, 1) == second);
        g_assert_null(domain_table_next(&f->table, 2));
        g_assert_null(domain_table_next(&f->table, UINT32_MAX));
}

static void assert_limits(const struct domain *domain, uint32_t handles, uint32_t ports, uint32_t shared_pages, uint32_t grants,
                          uint32_t maptrack) {
        g_assert_cmpuint(domain->limits.handles, ==, handles);
        g_assert_cmpuint(domain->limits.ports, ==, ports);
        g_assert_cmpuint(domain->limits.shared_pages, ==, shared_pages);
        g_assert_cmpuint(domain->limits.grants, ==, grants);
        g_assert_cmpuint(domain->limits.maptrack, ==, maptrack);
}

static void test_default_limits(struct fixture *f, gconstpointer data) {
        static const struct emu_limits own = { .ports = 5, .maptrack = 7 };
        struct domain *domain;

        assert_limits(create(f), 65536, 131071, 1048576, 1048576, 1048576);
        assert_limits(create(f), 1024, 1023, 1024, 32768, 262144);
        g_assert_cmpint(create_with(f, &own, &domain), ==, 0);
        assert_limits(domain, 1024, 5, 1024, 32768, 7);
}

/* Each limit in turn, at its highest and one above. */
static void test_highest_limits(struct fixture *f, gconstpointer data) {
        static const uint32_t highest[] = { 65536, 131071, 1048576, 1048576, 1048576 };
        struct domain *domain;

        create(f);
        for (size_t i = 0; i < G_N_ELEMENTS(highest); i++) {
                uint32_t wanted[G_N_ELEMENTS(highest)] = {};
                struct emu_limits limits;

                G_STATIC_ASSERT(sizeof wanted == sizeof limits);
                wanted[i] = highest[i];
                memcpy(&limits, wanted, sizeof limits);
                g_assert_cmpint(create_with(f, &limits, &domain), ==, 0);
                domain_free(domain);

                wanted[i]++;
                memcpy(&limits, wanted, sizeof limits);
                domain = NULL;
                g_assert_cmpint(create_with(f, &limits, &domain), ==, -ERANGE);
                g_assert_null(domain);
                g_assert_cmpuint(f->table.domains.n_used, ==, 1);
        }
}

static void test_describe(struct fixture *f, gconstpointer data) {
        struct emu_domain_info info;
        struct domain *domain;

        create(f);
        g_assert_cmpint(domain_new(&f->table, uuid, EMU_DOMAIN_ISOLATED, &standard, &domain), ==, 0);
        domain->n_handles = 2;
        domain->n_shared_pages = 3;
        domain->n_maptrack = 4;
        domain_describe(domain, &info);
        g_assert_cmpuint(info.domid, ==, 1);
        g_assert_cmpuint(info.flags, ==, EMU_DOMAIN_ISOLATED);
        g_assert_cmpmem(info.uuid, sizeof info.uuid, uuid, sizeof uuid);
        g_assert_cmpuint(info.handles, ==, 2);
        g_assert_cmpuint(info.ports, ==, 0);
        g_assert_cmpuint(info.shared_pages, ==, 3);
        g_assert_cmpuint(info.grants, ==, 0);
        g_assert_cmpuint(info.maptrack, ==, 4);
        g_assert_cmpmem(&info.limits, sizeof info.limits, &domain->limits, sizeof domain->limits);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/domain/" path, struct fixture, NULL, set_up, test, tear_down)
        add("numbers-ascend-from-0", test_ascending);
        add("numbers-wrap-and-are-not-reused-early", test_not_reused_early);
        add("no-number-free-is-ENOSPC", test_all_in_use);
        add("room-for-domain-0-only", test_only_domain_0);
        add("a-zombie-keeps-its-number", test_zombie);
        add("unknown-number-is-ESRCH", test_find);
        add("limits-default-to-those-of-xen", test_default_limits);
        add("a-limit-one-too-high-is-ERANGE", test_highest_limits);
        add("describe", test_describe);
        return g_test_run();
}
