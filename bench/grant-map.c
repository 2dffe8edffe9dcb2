/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * grant-map: another domain's pages, through libxengnttab.
 *
 *     grant-map share DOMID N              grants N pages to DOMID, prints their references, keeps them until standard input ends
 *     grant-map map DOMID REF...           rounds: map them in one piece, read from each page, unmap
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <xengnttab.h>

#include "rounds.h"

#define PROGRAM "grant-map"
#define PAGE_SIZE 4096
#define PAGES_MAX 256

struct grants {
        xengnttab_handle *handle;
        uint32_t domid;
        uint32_t n_refs;
        uint32_t refs[PAGES_MAX];
};

static int grants_map(void *userdata, uint64_t n) {
        struct grants *grants = userdata;

        for (; n > 0; n--) {
                volatile const char *pages = xengnttab_map_domain_grant_refs(grants->handle, grants->n_refs, grants->domid, grants->refs,
                                                                             PROT_READ | PROT_WRITE);

                if (!pages)
                        return -errno;
                for (uint32_t i = 0; i < grants->n_refs; i++)
                        (void) pages[(size_t) i * PAGE_SIZE];
                if (xengnttab_unmap(grants->handle, (void *) pages, grants->n_refs) < 0)
                        return -errno;
        }
        return 0;
}

static int share(uint32_t domid, uint32_t n_pages) {
        xengntshr_handle *handle = xengntshr_open(NULL, 0);
        uint32_t refs[PAGES_MAX];
        void *pages;

        if (!handle)
                return rounds_fail(PROGRAM, "cannot open grants to share");
        pages = xengntshr_share_pages(handle, domid, n_pages, refs, 1);
        if (!pages)
                return rounds_fail(PROGRAM, "cannot share pages");
        memset(pages, 1, (size_t) n_pages * PAGE_SIZE);

        printf("refs");
        for (uint32_t i = 0; i < n_pages; i++)
                printf(" %u", refs[i]);
        putchar('\n');
        fflush(stdout);
        rounds_await_end();
        return 0;
}

static int map(uint32_t domid, int n_refs, char **refs) {
        struct grants grants = { .domid = domid, .n_refs = n_refs };

        for (int i = 0; i < n_refs; i++)
                grants.refs[i] = strtoul(refs[i], NULL, 10);
        grants.handle = xengnttab_open(NULL, 0);
        if (!grants.handle)
                return rounds_fail(PROGRAM, "cannot open grants to map");
        return rounds_serve(PROGRAM, grants_map, &grants);
}

int main(int argc, char **argv) {
        if (argc == 4 && strcmp(argv[1], "share") == 0 && atoi(argv[3]) <= PAGES_MAX)
                return share(atoi(argv[2]), atoi(argv[3]));
        if (argc > 3 && argc - 3 <= PAGES_MAX && strcmp(argv[1], "map") == 0)
                return map(atoi(argv[2]), argc - 3, argv + 3);
        fprintf(stderr, "usage: grant-map share DOMID N | map DOMID REF..., at most %d pages\n", PAGES_MAX);
        return 2;
}
