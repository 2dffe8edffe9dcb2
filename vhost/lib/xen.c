/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Granted pages: which ones an address means, and what is lent for a request. */

#include "xen.h"

#include <errno.h>
#include <stdlib.h>

#include "protocol.h"

int vhost_xen_map(const struct vhost_xen *xen, uint64_t guest_address, uint64_t size, bool to_write, struct vhost_loan *ret_loan, void **ret_start) {
        uint64_t address = guest_address & ~VHOST_XEN_GRANT_ADDRESS, first = address / VHOST_XEN_PAGE, last;
        void *pages;
        int r;

        if (size == 0 || size > (uint64_t) VHOST_XEN_PAGES_MAX * VHOST_XEN_PAGE)
                return -EINVAL;
        last = (address + size - 1) / VHOST_XEN_PAGE;           /* cannot wrap: bit 63 is clear */
        if (last > UINT32_MAX || last - first >= VHOST_XEN_PAGES_MAX)
                return -EINVAL;
        r = xen->map(xen->userdata, (uint32_t) first, (uint32_t) (last - first + 1), to_write, &pages);
        if (r < 0)
                return r;
        *ret_loan = (struct vhost_loan) { pages, (uint32_t) (last - first + 1) };
        *ret_start = (uint8_t *) pages + address % VHOST_XEN_PAGE;
        return 0;
}

int vhost_loans_add(struct vhost_loans **loans, const struct vhost_xen *xen, uint64_t guest_address, uint64_t size, bool to_write, void **ret_start) {
        size_t n = *loans ? (*loans)->n : 0;
        struct vhost_loans *more = realloc(*loans, sizeof *more + (n + 1) * sizeof *more->at);
        int r;

        if (!more)
                return -ENOMEM;
        more->n = n;
        *loans = more;
        r = vhost_xen_map(xen, guest_address, size, to_write, &more->at[n], ret_start);
        if (r >= 0)
                more->n++;
        return r;
}

struct vhost_loans *vhost_loans_return(struct vhost_loans *loans, const struct vhost_xen *xen) {
        for (size_t i = 0; loans && i < loans->n; i++)
                xen->unmap(xen->userdata, loans->at[i].pages, loans->at[i].n_pages);
        free(loans);
        return NULL;
}

void vhost_loans_link(struct vhost_loans **list, struct vhost_loans *loans) {
        loans->previous = NULL;
        loans->next = *list;
        if (*list)
                (*list)->previous = loans;
        *list = loans;
}

void vhost_loans_unlink(struct vhost_loans **list, struct vhost_loans *loans) {
        if (loans->next)
                loans->next->previous = loans->previous;
        if (loans->previous)
                loans->previous->next = loans->next;
        else
                *list = loans->next;
}
