/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxenforeignmemory.so.1 of emulated Xen: xenforeignmemory.h without memory to map. Domains here have pages only as far as they
 * grant them, so nobody can map what was not granted, domain 0 included.
 *
 * It is here for libxenctrl, which refuses to work without a handle and then asks other libraries for what is wanted: so handles can
 * be opened, in every domain, and everything else fails.
 */

#include <errno.h>
#include <stdlib.h>
#include <xenforeignmemory.h>

#include "connection.h"

struct xenforeignmemory_handle {
        struct connection connection;           /* leads nowhere: there is nothing to ask the hypervisor for */
};

static int restrict_handle(struct toolcore_handle *handle, domid_t domid) {
        return 0;
}

xenforeignmemory_handle *xenforeignmemory_open(xentoollog_logger *logger, unsigned open_flags) {
        xenforeignmemory_handle *fmem = calloc(1, sizeof *fmem);
        int r;

        if (!fmem)
                return NULL;

        r = connection_init(&fmem->connection, "xenforeignmemory", logger, restrict_handle);
        if (r < 0) {
                free(fmem);
                errno = -r;
                return NULL;
        }

        if (!connection_path(&fmem->connection)) {
                xenforeignmemory_close(fmem);
                errno = ENOENT;
                return NULL;
        }
        return fmem;
}

int xenforeignmemory_close(xenforeignmemory_handle *fmem) {
        if (!fmem)
                return 0;
        connection_deinit(&fmem->connection);
        free(fmem);
        return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *fmem, uint32_t dom, int prot, size_t pages, const xen_pfn_t arr[], int err[]) {
        return xenforeignmemory_map2(fmem, dom, NULL, prot, 0, pages, arr, err);
}

void *xenforeignmemory_map2(xenforeignmemory_handle *fmem, uint32_t dom, void *addr, int prot, int flags, size_t pages,
                            const xen_pfn_t arr[], int err[]) {
        errno = ENOSYS;
        return NULL;
}

int xenforeignmemory_unmap(xenforeignmemory_handle *fmem, void *addr, size_t pages) {
        errno = EINVAL;
        return -1;
}

int xenforeignmemory_restrict(xenforeignmemory_handle *fmem, domid_t domid) {
        return 0;
}

/* The errno of the real library on a kernel that cannot do it. */
xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type,
                                                                unsigned int id, unsigned long frame, unsigned long nr_frames,
                                                                void **paddr, int prot, int flags) {
        errno = EOPNOTSUPP;
        return NULL;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *fmem, xenforeignmemory_resource_handle *fres) {
        errno = EINVAL;
        return -1;
}

int xenforeignmemory_resource_size(xenforeignmemory_handle *fmem, domid_t domid, unsigned int type, unsigned int id, size_t *size) {
        errno = EOPNOTSUPP;
        return -1;
}
