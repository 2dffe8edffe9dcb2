/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Granted pages by way of libxengnttab. */

#include "xen-grants.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xengnttab.h>

struct grants {
        xengnttab_handle *handle;
        uint32_t domid;
};

static int map(void *userdata, uint32_t first_ref, uint32_t n_pages, bool to_write, void **ret_pages) {
        const struct grants *grants = userdata;
        uint32_t one, *refs = &one;
        void *pages;
        int r;

        if (n_pages > 1)
                refs = calloc(n_pages, sizeof *refs);
        if (!refs)
                return -ENOMEM;
        for (uint32_t i = 0; i < n_pages; i++)
                refs[i] = first_ref + i;                        /* cannot wrap: vhost_xen_map() looks */
        pages = xengnttab_map_domain_grant_refs(grants->handle, n_pages, grants->domid, refs, PROT_READ | (to_write ? PROT_WRITE : 0));
        r = pages ? 0 : -errno;
        if (refs != &one)
                free(refs);
        if (pages)
                *ret_pages = pages;
        return r;
}

static void unmap(void *userdata, void *pages, uint32_t n_pages) {
        const struct grants *grants = userdata;

        xengnttab_unmap(grants->handle, pages, n_pages);
}

int vhost_xen_grants_open(struct vhost_xen *ret_xen, uint32_t domid) {
        struct grants *grants = calloc(1, sizeof *grants);
        int r;

        if (!grants)
                return -ENOMEM;
        grants->domid = domid;
        grants->handle = xengnttab_open(NULL, 0);
        if (!grants->handle) {
                r = -errno;
                free(grants);
                return r;
        }
        *ret_xen = (struct vhost_xen) { .domid = domid, .userdata = grants, .map = map, .unmap = unmap };
        return 0;
}

void vhost_xen_grants_close(struct vhost_xen *xen) {
        struct grants *grants = xen->userdata;

        if (!grants)
                return;
        xengnttab_close(grants->handle);
        free(grants);
        *xen = (struct vhost_xen) {};
}
