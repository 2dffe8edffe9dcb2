/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

int xen_open(struct xen *xen, uint32_t domid) {
        *xen = (struct xen) { .domid = domid };
        /* The libraries write a line for each reference that does not map: a guest could fill the log with them. */
        xen->logger = (xentoollog_logger *) xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
        if (!xen->logger)
                return -ENOMEM;
        xen->grants = xengnttab_open(xen->logger, 0);
        if (!xen->grants)
                return -errno;
        xen->events = xenevtchn_open(xen->logger, 0);
        /* xenevtchn_pending() must say that there is none, and not wait for one. */
        if (!xen->events || fcntl(xenevtchn_fd(xen->events), F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return 0;
}

void xen_close(struct xen *xen) {
        if (xen->events)
                xenevtchn_close(xen->events);
        if (xen->grants)
                xengnttab_close(xen->grants);
        if (xen->logger)
                xtl_logger_destroy(xen->logger);
        *xen = (struct xen) {};
}

int xen_map_from(struct xen *xen, uint32_t domid, const uint32_t *refs, uint32_t n, void **ret_address) {
        void *address;

        if (n > XEN_MAPPED_MAX - xen->n_mapped)
                return -ENOMEM;
        address = xengnttab_map_domain_grant_refs(xen->grants, n, domid, (uint32_t *) refs, PROT_READ | PROT_WRITE);
        if (!address)
                return errno == ENOMEM || errno == EMFILE ? -ENOMEM : -EINVAL;
        xen->n_mapped += n;
        *ret_address = address;
        return 0;
}

int xen_map(struct xen *xen, const uint32_t *refs, uint32_t n, void **ret_address) {
        return xen_map_from(xen, xen->domid, refs, n, ret_address);
}

void xen_unmap(struct xen *xen, void *address, uint32_t n) {
        xengnttab_unmap(xen->grants, address, n);
        xen->n_mapped -= n;
}

int xen_bind_from(struct xen *xen, uint32_t domid, uint32_t remote_port, uint32_t *ret_port) {
        int port = xenevtchn_bind_interdomain(xen->events, domid, remote_port);

        if (port < 0)
                return errno == EMFILE || errno == ENOSPC || errno == ENOMEM ? -ENOMEM : -EINVAL;
        xen->n_bound++;
        *ret_port = (uint32_t) port;
        return 0;
}

int xen_bind(struct xen *xen, uint32_t remote_port, uint32_t *ret_port) {
        return xen_bind_from(xen, xen->domid, remote_port, ret_port);
}

void xen_unbind(struct xen *xen, uint32_t port) {
        xenevtchn_unbind(xen->events, port);
        xen->n_bound--;
}

void xen_notify(struct xen *xen, uint32_t port) {
        (void) xenevtchn_notify(xen->events, port);
}
