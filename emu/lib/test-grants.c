/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libxengnttab, both sides, as its users see it, against the hypervisor's own logic. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xengnttab.h>
#include <xentoolcore.h>

#include "test-channel.h"
#include "test-hypervisor.h"

#define PAGE ((size_t) EMU_PAGE_SIZE)
#define NO_OFFSET UINT32_MAX
#define NO_PORT ((evtchn_port_t) -1)

struct fixture {
        struct test_hypervisor *hypervisor;
        xengntshr_handle *sharer0, *sharer1;    /* of domains 0, which is hardly limited, and 1 */
        xengnttab_handle *mapper2, *mapper0;    /* of domains 2 and 0 */
};

static void set_up(struct fixture *fixture, const void *data) {
        fixture->hypervisor = test_hypervisor_start();
        test_hypervisor_enter(fixture->hypervisor, 0);
        fixture->sharer0 = xengntshr_open(NULL, 0);
        fixture->mapper0 = xengnttab_open(NULL, 0);
        test_hypervisor_enter(fixture->hypervisor, 1);
        fixture->sharer1 = xengntshr_open(NULL, 0);
        test_hypervisor_enter(fixture->hypervisor, 2);
        fixture->mapper2 = xengnttab_open(NULL, 0);
        g_assert_true(fixture->sharer0 && fixture->sharer1 && fixture->mapper2 && fixture->mapper0);
}

static void tear_down(struct fixture *fixture, const void *data) {
        xengnttab_close(fixture->mapper2);
        xengnttab_close(fixture->mapper0);
        xengntshr_close(fixture->sharer0);
        xengntshr_close(fixture->sharer1);
        for (uint32_t i = 0; i < TEST_DOMAINS; i++) {
                struct domain domain = test_hypervisor_domain(fixture->hypervisor, i);

                g_assert_cmpuint(domain.n_handles, ==, 0);
                g_assert_cmpuint(domain.n_maptrack, ==, 0);
                g_assert_cmpuint(domain.n_shared_pages, ==, 0);
                g_assert_cmpuint(domain.grants.n_used, ==, 0);
        }
        test_hypervisor_stop(fixture->hypervisor);
}

static uint32_t n_maptrack(struct fixture *fixture) {
        return test_hypervisor_domain(fixture->hypervisor, 2).n_maptrack;
}

/* Shares n pages of domain 1 with domain 2, each beginning with its number. */
static char *share(struct fixture *fixture, int n, uint32_t *refs) {
        char *pages = xengntshr_share_pages(fixture->sharer1, 2, n, refs, 1);

        g_assert_nonnull(pages);
        for (int i = 0; i < n; i++)
                memcpy(pages + i * PAGE, &i, sizeof i);
        return pages;
}

static void test_contiguous(struct fixture *fixture, const void *data) {
        enum { N = 17 };
        uint32_t refs[N], backwards[N];
        char *mine = share(fixture, N, refs), *theirs;

        for (int i = 0; i < N; i++)
                backwards[i] = refs[N - 1 - i];

        theirs = xengnttab_map_domain_grant_refs(fixture->mapper2, N, 1, backwards, PROT_READ | PROT_WRITE);
        g_assert_nonnull(theirs);
        for (int i = 0; i < N; i++)
                g_assert_cmpint(*(int *) (theirs + i * PAGE), ==, N - 1 - i);
        theirs[0] = 'x';
        g_assert_cmpint(mine[(N - 1) * PAGE], ==, 'x');
        mine[PAGE - 1] = 'y';
        g_assert_cmpint(theirs[N * PAGE - 1], ==, 'y');

        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, N), ==, 0);
        g_assert_cmpint(xengntshr_unshare(fixture->sharer1, mine, N), ==, 0);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
}

/* More pages than fit in a request, in both directions, of two domains. */
static void test_many_pages(struct fixture *fixture, const void *data) {
        enum { N = 2500, OF_1 = 300, ALL = N + OF_1 };
        uint32_t refs[ALL], domids[ALL];
        int *mine, *theirs;

        mine = xengntshr_share_pages(fixture->sharer0, 2, N, refs, 1);
        g_assert_nonnull(mine);
        for (int i = 0; i < N; i++)
                mine[i * PAGE / sizeof(int)] = i;
        share(fixture, OF_1, refs + N);
        for (int i = 0; i < ALL; i++)
                domids[i] = i < N ? 0 : 1;

        theirs = xengnttab_map_grant_refs(fixture->mapper2, ALL, domids, refs, PROT_READ);
        g_assert_nonnull(theirs);
        for (int i = 0; i < ALL; i++)
                g_assert_cmpint(theirs[i * PAGE / sizeof(int)], ==, i < N ? i : i - N);
        g_assert_cmpuint(n_maptrack(fixture), ==, ALL);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, ALL), ==, 0);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);

        refs[2400] = 31000;             /* one that does not exist, behind many that do: all or nothing */
        g_assert_null(xengnttab_map_grant_refs(fixture->mapper2, ALL, domids, refs, PROT_READ));
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
        g_assert_cmpint(xengntshr_unshare(fixture->sharer0, mine, N), ==, 0);
}

static void assert_map_fails(xengnttab_handle *xgt, uint32_t domid, uint32_t ref, int prot) {
        g_assert_null(xengnttab_map_grant_ref(xgt, domid, ref, prot));
        g_assert_cmpint(errno, ==, EINVAL);
}

static void test_refusals(struct fixture *fixture, const void *data) {
        uint32_t ref;
        char *page = share(fixture, 1, &ref);

        assert_map_fails(fixture->mapper0, 1, ref, PROT_READ);          /* granted to domain 2 */
        assert_map_fails(fixture->mapper2, 0, ref, PROT_READ);          /* by domain 1 */
        assert_map_fails(fixture->mapper2, 99, ref, PROT_READ);
        assert_map_fails(fixture->mapper2, 0x7fff, ref, PROT_READ);
        assert_map_fails(fixture->mapper2, 1, ref + 1, PROT_READ);
        assert_map_fails(fixture->mapper2, 1, UINT32_MAX, PROT_READ);
        g_assert_null(xengnttab_map_grant_refs(fixture->mapper2, 0, NULL, NULL, PROT_READ));
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_null(xengnttab_map_domain_grant_refs(fixture->mapper2, 64 * 1024 + 1, 1, NULL, PROT_READ));
        g_assert_cmpint(errno, ==, EINVAL);

        g_assert_cmpint(xengntshr_unshare(fixture->sharer1, page, 1), ==, 0);
        assert_map_fails(fixture->mapper2, 1, ref, PROT_READ);          /* stale */
}

static void test_unmap_errors(struct fixture *fixture, const void *data) {
        uint32_t refs[4];
        char *mine = share(fixture, 4, refs), *theirs;
        char *const elsewhere = mine;

        theirs = xengnttab_map_domain_grant_refs(fixture->mapper2, 4, 1, refs, PROT_READ);
        g_assert_nonnull(theirs);

        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, 3), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs + PAGE, 3), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, elsewhere, 4), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, NULL, 4), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpint(xengntshr_unshare(fixture->sharer1, mine, 3), ==, -1);
        g_assert_cmpint(errno, ==, EINVAL);

        g_assert_cmpint(*(int *) (theirs + 3 * PAGE), ==, 3);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, 4), ==, 0);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, 4), ==, -1);
}

static void test_readonly(struct fixture *fixture, const void *data) {
        uint32_t refs[2];
        char *mine = xengntshr_share_pages(fixture->sharer1, 2, 2, refs, 0), *theirs;

        g_assert_nonnull(mine);
        mine[0] = 'a';                  /* the owner writes */
        assert_map_fails(fixture->mapper2, 1, refs[0], PROT_READ | PROT_WRITE);

        theirs = xengnttab_map_domain_grant_refs(fixture->mapper2, 2, 1, refs, PROT_READ);
        g_assert_nonnull(theirs);
        g_assert_cmpint(theirs[0], ==, 'a');
        mine[PAGE] = 'b';
        g_assert_cmpint(theirs[PAGE], ==, 'b');
        g_assert_cmpint(mprotect(theirs, 2 * PAGE, PROT_READ | PROT_WRITE), ==, -1);
        g_assert_cmpint(errno, ==, EACCES);

        /* A mapping for reading of what may be written stays one, too. */
        mine = share(fixture, 1, refs);
        theirs = xengnttab_map_grant_ref(fixture->mapper2, 1, refs[0], PROT_READ);
        g_assert_nonnull(theirs);
        g_assert_cmpint(mprotect(theirs, PAGE, PROT_READ | PROT_WRITE), ==, -1);
}

static void test_share_errors(struct fixture *fixture, const void *data) {
        uint32_t *refs = g_new(uint32_t, 2000);

        refs[0] = 77;
        for (int count = -1; count <= 0; count++) {
                g_assert_null(xengntshr_share_pages(fixture->sharer1, 2, count, refs, 1));
                g_assert_cmpint(errno, ==, EINVAL);
        }
        g_assert_null(xengntshr_share_pages(fixture->sharer1, 2, 1025, refs, 1));       /* Linux: gntalloc's limit is 1024 */
        g_assert_cmpint(errno, ==, ENOSPC);
        g_assert_cmpuint(refs[0], ==, 77);
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 1).n_shared_pages, ==, 0);
        g_assert_nonnull(xengntshr_share_pages(fixture->sharer1, 2, 1024, refs, 1));
        g_free(refs);
}

/* libxenvchan unmaps data pages by itself: their addresses return, and what they were must not pile up or be confused. */
static void test_unmapped_by_hand(struct fixture *fixture, const void *data) {
        uint32_t ref;
        void *page;

        share(fixture, 1, &ref);
        for (int i = 0; i < 200; i++) {
                page = xengnttab_map_grant_ref(fixture->mapper2, 1, ref, PROT_READ);
                g_assert_nonnull(page);
                munmap(page, PAGE);

                page = xengntshr_share_pages(fixture->sharer1, 0, 4, (uint32_t[4]) {}, 1);
                g_assert_nonnull(page);
                munmap(page, 4 * PAGE);
        }
        g_assert_cmpuint(n_maptrack(fixture), <, 20);
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 1).n_shared_pages, <, 80);

        page = xengnttab_map_grant_ref(fixture->mapper2, 1, ref, PROT_READ);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, page, 1), ==, 0);
}

static void test_close(struct fixture *fixture, const void *data) {
        uint32_t ref;
        char *mine = share(fixture, 1, &ref), *theirs = xengnttab_map_grant_ref(fixture->mapper2, 1, ref, PROT_READ | PROT_WRITE);

        xengnttab_close(fixture->mapper2);
        xengntshr_close(fixture->sharer1);
        fixture->mapper2 = NULL;
        fixture->sharer1 = NULL;
        theirs[9] = 'z';
        g_assert_cmpint(mine[9], ==, 'z');
        munmap(mine, PAGE);
        munmap(theirs, PAGE);
}

static void test_notify(struct fixture *fixture, const void *data) {
        struct channel_ends ends;
        uint32_t ref;
        char *mine, *theirs;

        ends_open(&ends, fixture->hypervisor);
        mine = xengntshr_share_page_notify(fixture->sharer1, 2, &ref, 1, 8, ends.ports[0].port);
        g_assert_nonnull(mine);
        memset(mine, 1, PAGE);

        theirs = xengnttab_map_grant_ref_notify(fixture->mapper2, 1, ref, PROT_READ | PROT_WRITE, PAGE - 1, ends.ports[1].port);
        g_assert_nonnull(theirs);
        g_assert_cmpint(xengnttab_unmap(fixture->mapper2, theirs, 1), ==, 0);
        g_assert_cmpint(mine[PAGE - 1], ==, 0);
        g_assert_cmpint(mine[PAGE - 2], ==, 1);
        g_assert_cmpuint(ends.page->word[ends.ports[0].side], ==, CHANNEL_PENDING);

        theirs = xengnttab_map_grant_ref_notify(fixture->mapper2, 1, ref, PROT_READ, NO_OFFSET, NO_PORT);
        g_assert_nonnull(theirs);
        g_assert_cmpint(xengntshr_unshare(fixture->sharer1, mine, 1), ==, 0);
        g_assert_cmpint(theirs[8], ==, 0);
        g_assert_cmpint(theirs[9], ==, 1);
        g_assert_cmpuint(ends.page->word[ends.ports[1].side], ==, CHANNEL_PENDING);
        ends_close(&ends);
}

static void test_notify_errors(struct fixture *fixture, const void *data) {
        uint32_t ref;

        share(fixture, 1, &ref);
        g_assert_null(xengnttab_map_grant_ref_notify(fixture->mapper2, 1, ref, PROT_READ, 0, NO_PORT)); /* cannot be cleared */
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_null(xengnttab_map_grant_ref_notify(fixture->mapper2, 1, ref, PROT_READ, NO_OFFSET, 999));     /* no such port */
        g_assert_cmpint(errno, ==, EINVAL);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
        g_assert_nonnull(xengnttab_map_grant_ref_notify(fixture->mapper2, 1, ref, PROT_READ, PAGE, NO_PORT)); /* beyond: none */

        g_assert_null(xengntshr_share_page_notify(fixture->sharer1, 2, &ref, 1, 0, 999));
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 1).n_shared_pages, ==, 1);
}

static xengnttab_grant_copy_segment_t copy_in(void *to, uint32_t ref, uint16_t offset, uint16_t n) {
        return (xengnttab_grant_copy_segment_t) {
                .source.foreign = { .ref = ref, .offset = offset, .domid = 1 },
                .dest.virt = to,
                .len = n,
                .flags = GNTCOPY_source_gref,
                .status = 99,
        };
}

static xengnttab_grant_copy_segment_t copy_out(void *from, uint32_t ref, uint16_t offset, uint16_t n) {
        return (xengnttab_grant_copy_segment_t) {
                .source.virt = from,
                .dest.foreign = { .ref = ref, .offset = offset, .domid = 1 },
                .len = n,
                .flags = GNTCOPY_dest_gref,
                .status = 99,
        };
}

static void test_copy(struct fixture *fixture, const void *data) {
        uint32_t refs[3], readonly;
        char *pages = share(fixture, 3, refs), text[] = "granted", read[8], local[8];
        xengnttab_grant_copy_segment_t segments[6];

        g_assert_nonnull(xengntshr_share_pages(fixture->sharer1, 2, 1, &readonly, 0));
        segments[0] = copy_out(text, refs[0], PAGE - 8, 8);             /* to the last byte */
        segments[1] = copy_out(text, 1000000, 0, 8);                    /* cannot exist */
        segments[2] = copy_out(text, readonly, 0, 8);                   /* may not */
        segments[3] = (xengnttab_grant_copy_segment_t) {                /* of the first, by the first */
                .source.foreign = { .ref = refs[0], .offset = PAGE - 8, .domid = 1 },
                .dest.foreign = { .ref = refs[2], .offset = 100, .domid = 1 },
                .len = 8,
                .flags = GNTCOPY_source_gref | GNTCOPY_dest_gref,
        };
        segments[4] = copy_in(read, refs[2], 100, 8);
        segments[5] = (xengnttab_grant_copy_segment_t) { .source.virt = read, .dest.virt = local, .len = 8 };

        g_assert_cmpint(xengnttab_grant_copy(fixture->mapper2, 6, segments), ==, 0);
        for (size_t i = 0; i < 6; i++)
                g_assert_cmpint(segments[i].status, ==, i == 1 ? GNTST_bad_gntref : i == 2 ? segments[2].status : GNTST_okay);
        g_assert_cmpint(segments[2].status, <, 0);
        g_assert_cmpstr(pages + PAGE - 8, ==, text);
        g_assert_cmpstr(pages + 2 * PAGE + 100, ==, text);
        g_assert_cmpstr(local, ==, text);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
}

static void test_copy_bounds(struct fixture *fixture, const void *data) {
        static char buffer[65536];
        uint32_t ref;
        xengnttab_grant_copy_segment_t segments[2];

        share(fixture, 1, &ref);
        segments[0] = copy_out(buffer, ref, 0, 4096);
        const xengnttab_grant_copy_segment_t bad[] = {
                copy_out(buffer, ref, 1, 4096),
                copy_in(buffer, ref, 4095, 2),
                copy_in(buffer, ref, 65535, 1),
                copy_in(buffer, ref, 0, 65535),
        };
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                segments[1] = bad[i];
                g_assert_cmpint(xengnttab_grant_copy(fixture->mapper2, 2, segments), ==, -1);
                g_assert_cmpint(errno, ==, EINVAL);
        }
        segments[1] = copy_in(buffer, ref, 4096, 0);
        g_assert_cmpint(xengnttab_grant_copy(fixture->mapper2, 2, segments), ==, 0);
        g_assert_cmpint(xengnttab_grant_copy(fixture->mapper2, 0, NULL), ==, 0);
}

static void test_copy_many(struct fixture *fixture, const void *data) {
        enum { N = 300 };
        xengnttab_grant_copy_segment_t segments[N];
        uint32_t refs[N];
        int numbers[N] = {};

        share(fixture, N, refs);
        for (int i = 0; i < N; i++)
                segments[i] = copy_in(&numbers[i], refs[i], 0, sizeof(int));
        g_assert_cmpint(xengnttab_grant_copy(fixture->mapper2, N, segments), ==, 0);
        for (int i = 0; i < N; i++)
                g_assert_cmpint(numbers[i], ==, i);
}

struct hammer {
        xengnttab_handle *xgt;
        uint32_t *refs;
};

static void *map_and_unmap(void *userdata) {
        struct hammer *hammer = userdata;

        for (int i = 0; i < 300; i++) {
                int *pages = xengnttab_map_domain_grant_refs(hammer->xgt, 5, 1, hammer->refs, PROT_READ | PROT_WRITE);

                g_assert_nonnull(pages);
                g_assert_cmpint(pages[4 * PAGE / sizeof(int)], ==, 4);
                g_assert_cmpint(xengnttab_unmap(hammer->xgt, pages, 5), ==, 0);
        }
        return NULL;
}

static void test_threads(struct fixture *fixture, const void *data) {
        uint32_t refs[5];
        struct hammer hammer = { fixture->mapper2, refs };
        pthread_t threads[4];

        share(fixture, 5, refs);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                pthread_create(&threads[i], NULL, map_and_unmap, &hammer);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                pthread_join(threads[i], NULL);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
}

static void test_unsupported(struct fixture *fixture, const void *data) {
        uint32_t number = 0;

        g_assert_cmpint(xengnttab_set_max_grants(fixture->mapper2, 1), ==, 0);
        g_assert_cmpint(xengnttab_dmabuf_exp_from_refs(fixture->mapper2, 1, 0, 1, &number, &number), ==, -1);
        g_assert_cmpint(errno, ==, ENOTTY);
        g_assert_cmpint(xengnttab_dmabuf_exp_wait_released(fixture->mapper2, 0, 0), ==, -1);
        g_assert_cmpint(xengnttab_dmabuf_imp_to_refs(fixture->mapper2, 1, 0, 1, &number), ==, -1);
        g_assert_cmpint(xengnttab_dmabuf_imp_release(fixture->mapper2, 0), ==, -1);
        g_assert_cmpint(fcntl(xengnttab_fd(fixture->mapper2), F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(fcntl(xengntshr_fd(fixture->sharer1), F_GETFD), ==, FD_CLOEXEC);
}

static unsigned int next_descriptor(void) {
        int fd = dup(STDIN_FILENO);

        close(fd);
        return fd;
}

/* Descriptors only pass through, but pass they must. */
static void test_no_descriptors(struct fixture *fixture, const void *data) {
        struct rlimit limit, none;
        uint32_t refs[2], ref;

        share(fixture, 1, &refs[0]);
        share(fixture, 1, &refs[1]);
        test_hypervisor_domain(fixture->hypervisor, 1);
        getrlimit(RLIMIT_NOFILE, &limit);
        none = (struct rlimit) { .rlim_cur = next_descriptor(), .rlim_max = limit.rlim_max };
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_null(xengnttab_map_domain_grant_refs(fixture->mapper2, 2, 1, refs, PROT_READ | PROT_WRITE));
        g_assert_cmpint(errno, ==, EMFILE);
        setrlimit(RLIMIT_NOFILE, &limit);
        g_assert_cmpuint(n_maptrack(fixture), ==, 0);
        g_assert_nonnull(xengnttab_map_domain_grant_refs(fixture->mapper2, 2, 1, refs, PROT_READ | PROT_WRITE));

        /* The hypervisor is in this process too, and needs one to make memory with. */
        none.rlim_cur = next_descriptor() + 1;
        g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &none), ==, 0);
        g_assert_null(xengntshr_share_pages(fixture->sharer1, 2, 1, &ref, 1));
        g_assert_cmpint(errno, ==, EMFILE);
        setrlimit(RLIMIT_NOFILE, &limit);
        g_assert_cmpuint(test_hypervisor_domain(fixture->hypervisor, 1).n_shared_pages, ==, 2);
}

static void test_restrict_all(struct fixture *fixture, const void *data) {
        uint32_t ref;

        share(fixture, 1, &ref);
        g_assert_cmpint(xentoolcore_restrict_all(1), ==, 0);
        g_assert_null(xengnttab_map_grant_ref(fixture->mapper2, 1, ref, PROT_READ));
        g_assert_null(xengntshr_share_pages(fixture->sharer1, 2, 1, &ref, 1));
}

int main(int argc, char **argv) {
        static const struct {
                const char *name;
                void (*test)(struct fixture *, const void *);
        } tests[] = {
                { "/grants/pages-are-contiguous-in-the-order-asked-for", test_contiguous },
                { "/grants/more-pages-than-a-request-holds-all-or-none", test_many_pages },
                { "/grants/map-fails-as-xen-does", test_refusals },
                { "/grants/unmap-takes-exact-bounds-only", test_unmap_errors },
                { "/grants/read-only-is-read-only", test_readonly },
                { "/grants/share-fails-as-linux-does", test_share_errors },
                { "/grants/memory-unmapped-by-its-user", test_unmapped_by_hand },
                { "/grants/close-leaves-memory-alone", test_close },
                { "/grants/the-end-clears-a-byte-and-sends-an-event", test_notify },
                { "/grants/notify-errors-leave-nothing-mapped", test_notify_errors },
                { "/grants/copy-in-order-with-a-status-each", test_copy },
                { "/grants/copy-stays-in-its-page", test_copy_bounds },
                { "/grants/copy-more-than-a-batch", test_copy_many },
                { "/grants/threads-share-a-handle", test_threads },
                { "/grants/what-is-not-supported", test_unsupported },
                { "/grants/no-room-for-descriptors-leaks-nothing", test_no_descriptors },
                { "/grants/restrict-all-shuts-handles", test_restrict_all },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
