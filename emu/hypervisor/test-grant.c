/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Grants: who may map what and for how long, what read-only means, limits at both sides, and what a death sets off. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xen/xen.h>
#include <xen/grant_table.h>

#include "grant.h"
#include "test-machine.h"

#define GRANTER 1u
#define GRANTEE 2u

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

static struct share *share_pages(struct machine *m, uint32_t n_pages, bool readonly) {
        struct share *share;

        g_assert_cmpint(share_new(m->domains[GRANTER], GRANTEE, n_pages, readonly, &share), ==, 0);
        g_assert_cmpuint(share->n_pages, ==, n_pages);
        return share;
}

static struct emu_map_page page_of(const struct share *share, uint32_t page) {
        return (struct emu_map_page) { .domid = share->granter->domid, .ref = share->pages[page].ref };
}

/* Maps one page and returns its status; ret_mapping may be NULL, and then it is unmapped again. */
static int16_t try_map(struct machine *m, uint32_t domid, struct emu_map_page page, bool readonly, struct mapping **ret_mapping) {
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

static struct mapping *map(struct machine *m, struct emu_map_page page, bool readonly) {
        struct mapping *mapping;

        g_assert_cmpint(try_map(m, GRANTEE, page, readonly, &mapping), ==, GNTST_okay);
        return mapping;
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
 * Read-only, and sealed
 */

static int reopen(int fd, int flags) {
        char path[64];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        return open(path, flags | O_CLOEXEC);
}

static void assert_fails(long result, int error) {
        g_assert_cmpint(result, ==, -1);
        g_assert_cmpint(errno, ==, error);
}

/* Everything one can do with a descriptor to change a byte or take a page away. fd: open for writing, if that was possible. */
static void assert_unwritable(int fd) {
        char byte = 'x';
        void *p = mmap(NULL, EMU_PAGE_SIZE, PROT_READ, MAP_SHARED, fd, 0);

        g_assert_true(p != MAP_FAILED);
        assert_fails(mprotect(p, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE), EACCES);
        assert_fails(madvise(p, EMU_PAGE_SIZE, MADV_REMOVE), EACCES);
        munmap(p, EMU_PAGE_SIZE);
        g_assert_true(mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
        g_assert_cmpint(pwrite(fd, &byte, 1, 0), ==, -1);
        g_assert_cmpint(ftruncate(fd, 0), ==, -1);
        g_assert_cmpint(ftruncate(fd, 3 * EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fallocate(fd, 0, 0, 3 * EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), ==, -1);
}

static void test_readonly(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, true);
        uint8_t *own = mmap(NULL, 2 * EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, share->memfd, 0);
        struct mapping *mapping;
        char byte;
        int fd;

        g_assert_true(own != MAP_FAILED);
        g_assert_cmpint(share_seal(share), ==, 0);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), false, NULL), ==, GNTST_general_error);
        mapping = map(m, page_of(share, 0), true);
        fd = grant_fd(mapping->pages[0], true);
        g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_RDONLY);
        assert_unwritable(fd);
        fd = reopen(fd, O_RDWR);
        g_assert_cmpint(fd, >=, 0); /* it is ours to open, but */
        assert_unwritable(fd);
        assert_unwritable(share->memfd);
        assert_fails(reopen(fd, O_RDWR | O_TRUNC), EPERM);

        own[7] = 'y'; /* the owner still can */
        g_assert_cmpint(pread(fd, &byte, 1, 7), ==, 1);
        g_assert_cmpint(byte, ==, 'y');
        close(fd);
        munmap(own, 2 * EMU_PAGE_SIZE);
        share_end(share);
        mapping_end(mapping);
}

static void test_readonly_is_sealed_first(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, true), *writable = share_pages(m, 1, false);

        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_general_error);
        g_assert_cmpint(share_seal(share), ==, 0);
        g_assert_cmpint(share_seal(share), ==, -EINVAL);
        g_assert_cmpint(share_seal(writable), ==, -EINVAL);
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_okay);
        share_end(share);
        share_end(writable);
}

static unsigned int count_mappings(void) {
        FILE *f = fopen("/proc/self/maps", "re");
        unsigned int n = 0;

        g_assert_nonnull(f);
        for (int c; (c = getc(f)) != EOF;)
                n += c == '\n';
        fclose(f);
        return n;
}

/* An owner that has forbidden more seals has a share that nobody can map, and asking again and again costs us nothing. */
static void test_sealed_by_its_owner(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, true);
        unsigned int n_mappings;

        g_assert_cmpint(fcntl(share->memfd, F_ADD_SEALS, F_SEAL_SEAL), ==, 0);
        g_assert_cmpint(share_seal(share), ==, -EPERM);
        n_mappings = count_mappings();
        for (unsigned int i = 0; i < 50; i++)
                g_assert_cmpint(share_seal(share), ==, -EPERM);
        g_assert_cmpuint(count_mappings(), <, n_mappings + 25); /* a sanitizer makes some of its own */
        g_assert_cmpint(try_map(m, GRANTEE, page_of(share, 0), true, NULL), ==, GNTST_general_error);
        share_end(share);
}

static void test_nobody_can_shrink(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        int fd = grant_fd(mapping->pages[0], false);

        assert_fails(ftruncate(fd, EMU_PAGE_SIZE), EPERM);
        assert_fails(ftruncate(fd, 0), EPERM);
        assert_fails(ftruncate(fd, 3 * EMU_PAGE_SIZE), EPERM);
        assert_fails(fallocate(fd, 0, 0, 3 * EMU_PAGE_SIZE), EPERM);
        assert_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), EPERM);
        assert_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
        mapping_end(mapping);
        share_end(share);
}

/* Opening a file that somebody has a lease on waits for them, up to a minute. */
static void test_lease(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct emu_map_page page = page_of(share, 0);
        struct mapping *mapping = NULL;
        int16_t status;
        int fd = reopen(share->memfd, O_RDWR);

        if (fcntl(fd, F_SETLEASE, F_WRLCK) < 0)
                g_test_skip("this kernel gives no lease on a memfd");
        else {
                signal(SIGIO, SIG_IGN);
                alarm(1); /* instead of a minute */
                g_assert_cmpint(mapping_new(m->domains[GRANTEE], &page, 1, true, &status, &mapping), ==, -EAGAIN);
                alarm(0);
                g_assert_null(mapping);
        }
        close(fd);
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

/*
 * Notifications
 */

struct channel_ends {
        struct port *own, *peer;
};

static struct channel_ends join(struct machine *m, uint32_t domid) {
        struct channel_ends ends;

        g_assert_cmpint(event_alloc_unbound(m->domains[domid], 0, &ends.own), ==, 0);
        g_assert_cmpint(event_bind_interdomain(m->domains[0], domid, ends.own->number, &ends.peer), ==, 0);
        take_event(ends.peer);
        return ends;
}

static void leave(struct channel_ends ends) {
        port_unref(ends.own);
        port_unref(ends.peer);
}

static void fill(int fd, uint32_t n_pages) {
        g_autofree char *bytes = g_malloc(n_pages * EMU_PAGE_SIZE);

        memset(bytes, 'x', n_pages * EMU_PAGE_SIZE);
        g_assert_cmpint(pwrite(fd, bytes, n_pages * EMU_PAGE_SIZE, 0), ==, n_pages * EMU_PAGE_SIZE);
}

/* Demands that of the bytes that fill() wrote exactly the one at offset is 0, or none for UINT32_MAX. */
static void assert_cleared(int fd, uint32_t n_pages, uint32_t offset) {
        g_autofree char *bytes = g_malloc(n_pages * EMU_PAGE_SIZE);

        g_assert_cmpint(pread(fd, bytes, n_pages * EMU_PAGE_SIZE, 0), ==, n_pages * EMU_PAGE_SIZE);
        for (uint32_t i = 0; i < n_pages * EMU_PAGE_SIZE; i++)
                g_assert_cmpint(bytes[i], ==, i == offset ? 0 : 'x');
}

static void test_clear_at_unshare(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false);
        int fd = dup(share->memfd);

        fill(fd, 3);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE + 9, NULL), ==, 0);
        assert_cleared(fd, 3, UINT32_MAX);
        share_end(share);
        assert_cleared(fd, 3, EMU_PAGE_SIZE + 9);
        close(fd);
}

/* After the seal nobody can write by descriptor, and the byte is cleared all the same. */
static void test_clear_in_readonly(struct machine *m, gconstpointer limits) {
        for (unsigned int sealed = 0; sealed < 2; sealed++) {
                struct share *share = share_pages(m, 2, true);
                int fd = dup(share->memfd);

                fill(fd, 2);
                if (sealed)
                        g_assert_cmpint(share_seal(share), ==, 0);
                g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, 2 * EMU_PAGE_SIZE - 1, NULL), ==, 0);
                share_end(share);
                assert_cleared(fd, 2, 2 * EMU_PAGE_SIZE - 1);
                close(fd);
        }
}

/* A mapping's pages in another order than the share's, and of another share too. */
static void test_clear_at_unmap(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 3, false), *other = share_pages(m, 1, false);
        struct emu_map_page pages[] = { page_of(other, 0), page_of(share, 2), page_of(share, 0) };
        int16_t statuses[G_N_ELEMENTS(pages)];
        struct mapping *mapping;

        fill(share->memfd, 3);
        fill(other->memfd, 1);
        for (uint32_t page = 0; page < 2; page++) {
                g_assert_cmpint(mapping_new(m->domains[GRANTEE], pages, G_N_ELEMENTS(pages), false, statuses, &mapping), ==, 0);
                g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, page * EMU_PAGE_SIZE + 1, NULL), ==, 0);
                assert_cleared(share->memfd, 3, UINT32_MAX);
                mapping_end(mapping);
                assert_cleared(other->memfd, 1, 1);
                assert_cleared(share->memfd, 3, page == 0 ? UINT32_MAX : 2 * EMU_PAGE_SIZE + 1);
        }
        share_end(share);
        share_end(other);
}

/* The share has ended, the mapping is the last that holds its page. */
static void test_clear_after_the_share(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        int fd = dup(share->memfd);

        fill(fd, 1);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, 0, NULL), ==, 0);
        share_end(share);
        assert_cleared(fd, 1, UINT32_MAX);
        mapping_end(mapping);
        assert_cleared(fd, 1, 0);
        close(fd);
}

static void test_notify_arguments(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 2, false);
        struct mapping *mapping = map(m, page_of(share, 0), false), *readonly = map(m, page_of(share, 0), true);
        struct channel_ends ends = join(m, GRANTEE);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, 2 * EMU_PAGE_SIZE, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE, UINT32_MAX, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, 4, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(share_set_notify(share, UINT32_MAX, 0, ends.own), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE, NULL), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_CLEAR_BYTE, EMU_PAGE_SIZE - 1, NULL), ==, 0);
        g_assert_cmpint(mapping_set_notify(readonly, EMU_NOTIFY_CLEAR_BYTE, 0, NULL), ==, -EINVAL);
        g_assert_cmpint(mapping_set_notify(readonly, EMU_NOTIFY_SEND_EVENT, UINT32_MAX, ends.own), ==, 0);
        mapping_end(mapping);
        mapping_end(readonly);
        g_assert_cmpuint(take_event(ends.peer), ==, 1);
        share_end(share);
        leave(ends);
}

static void test_event(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct mapping *mapping = map(m, page_of(share, 0), false);
        struct channel_ends granter = join(m, GRANTER), grantee = join(m, GRANTEE);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, granter.own), ==, 0);
        g_assert_cmpint(mapping_set_notify(mapping, EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, 0, grantee.own), ==, 0);
        g_assert_cmpuint(take_event(granter.peer), ==, 0);
        share_end(share);
        g_assert_cmpuint(take_event(granter.peer), ==, 1);
        g_assert_cmpuint(take_event(grantee.peer), ==, 0);
        mapping_end(mapping);
        g_assert_cmpuint(take_event(granter.peer), ==, 0);
        g_assert_cmpuint(take_event(grantee.peer), ==, 1);
        leave(granter);
        leave(grantee);
}

static void test_replaced(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct channel_ends first = join(m, GRANTER), second = join(m, GRANTER);

        fill(share->memfd, 1);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT | EMU_NOTIFY_CLEAR_BYTE, 1, first.own), ==, 0);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 2, second.own), ==, 0);
        g_assert_cmpuint(first.own->n_refs, ==, 1);
        g_assert_cmpint(share_set_notify(share, 8, 0, NULL), ==, -EINVAL); /* changes nothing */
        assert_cleared(share->memfd, 1, UINT32_MAX);
        share_end(share);
        g_assert_cmpuint(take_event(first.peer), ==, 0);
        g_assert_cmpuint(take_event(second.peer), ==, 1);
        g_assert_cmpuint(second.own->n_refs, ==, 1);

        share = share_pages(m, 1, false);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, first.own), ==, 0);
        g_assert_cmpint(share_set_notify(share, 0, 0, first.own), ==, 0);
        g_assert_cmpuint(first.own->n_refs, ==, 1);
        share_end(share);
        g_assert_cmpuint(take_event(first.peer), ==, 0);
        leave(first);
        leave(second);
}

static void test_replaced_by_the_same_port(struct machine *m, gconstpointer limits) {
        struct share *share = share_pages(m, 1, false);
        struct channel_ends ends = join(m, GRANTER);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, ends.own), ==, 0);
        port_unref(ends.own); /* the notification alone keeps it open */
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, ends.own), ==, 0);
        g_assert_cmpuint(ends.own->n_refs, ==, 1);
        share_end(share);
        g_assert_cmpuint(m->domains[GRANTER]->ports.n_used, ==, 0);
        g_assert_cmpuint(take_event(ends.peer), ==, 1);
        port_unref(ends.peer);
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
        add("a-read-only-grant-cannot-be-written", NULL, test_readonly);
        add("a-read-only-grant-can-be-mapped-only-once-sealed", NULL, test_readonly_is_sealed_first);
        add("an-owner-that-seals-it-itself-costs-nothing", NULL, test_sealed_by_its_owner);
        add("nobody-can-shrink-a-share", NULL, test_nobody_can_shrink);
        add("a-lease-does-not-block-us", NULL, test_lease);
        add("pages-and-grantees-have-bounds", NULL, test_share_arguments);
        add("one-shared-page-too-many-is-ENOSPC", &few, test_shared_pages_limit);
        add("one-grant-too-many-is-ENOSPC", &few_grants, test_grants_limit);
        add("one-mapped-page-too-many-is-no-device-space", &few, test_maptrack_limit);
        add("a-page-can-be-mapped-255-times", &few_mappings, test_255_mappings);
        add("without-descriptors-it-is-EMFILE", NULL, test_no_descriptors);
        add("descriptors-are-one-or-two-of-a-share", NULL, test_descriptors);
        add("reserved-references-do-not-count", &few, test_reserved);
        add("unshare-clears-the-byte", NULL, test_clear_at_unshare);
        add("unshare-clears-the-byte-of-a-read-only-share", NULL, test_clear_in_readonly);
        add("unmap-clears-the-byte-of-the-right-page", NULL, test_clear_at_unmap);
        add("unmap-clears-the-byte-after-the-share-has-ended", NULL, test_clear_after_the_share);
        add("a-notification-has-bounds", NULL, test_notify_arguments);
        add("each-end-sends-its-event-once", NULL, test_event);
        add("a-replaced-notification-gives-its-port-back", NULL, test_replaced);
        add("a-notification-may-be-replaced-by-itself", NULL, test_replaced_by_the_same_port);
        return g_test_run();
}
