/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * DMA buffers made of grants: not here. They fail as on a Linux that is built without them, whose gntdev does not know the ioctls.
 */

#include <errno.h>
#include <xengnttab.h>

static int not_built_in(void) {
        errno = ENOTTY;
        return -1;
}

int xengnttab_dmabuf_exp_from_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t flags, uint32_t count, const uint32_t *refs,
                                   uint32_t *fd) {
        return not_built_in();
}

int xengnttab_dmabuf_exp_wait_released(xengnttab_handle *xgt, uint32_t fd, uint32_t wait_to_ms) {
        return not_built_in();
}

int xengnttab_dmabuf_imp_to_refs(xengnttab_handle *xgt, uint32_t domid, uint32_t fd, uint32_t count, uint32_t *refs) {
        return not_built_in();
}

int xengnttab_dmabuf_imp_release(xengnttab_handle *xgt, uint32_t fd) {
        return not_built_in();
}
