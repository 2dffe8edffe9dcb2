/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a backend needs of Xen: another domain's pages and event channels. The libraries decide which Xen it is. */

#include <stdint.h>

#include <xenevtchn.h>
#include <xengnttab.h>
#include <xentoollog.h>

#define XEN_MAPPED_MAX 65536u           /* pages: 256 MiB of the guest's memory, or 63 sockets of the largest order in 127 places */

struct xen {
        uint32_t domid;                 /* the frontend's */
        xentoollog_logger *logger;
        xengnttab_handle *grants;
        xenevtchn_handle *events;
        uint32_t n_mapped;              /* pages */
        uint32_t n_bound;               /* ports */
};

int xen_open(struct xen *xen, uint32_t domid);
void xen_close(struct xen *xen);

/* Maps pages of the frontend's next to each other, to read and write. -EINVAL: it did not grant them; -ENOMEM: more than XEN_MAPPED_MAX. */
int xen_map(struct xen *xen, const uint32_t *refs, uint32_t n, void **ret_address);
int xen_map_from(struct xen *xen, uint32_t domid, const uint32_t *refs, uint32_t n, void **ret_address);    /* another domain's */
void xen_unmap(struct xen *xen, void *address, uint32_t n);

/* Binds a port that the frontend has allocated for us. -EINVAL: it has not. */
int xen_bind(struct xen *xen, uint32_t remote_port, uint32_t *ret_port);
int xen_bind_from(struct xen *xen, uint32_t domid, uint32_t remote_port, uint32_t *ret_port);
void xen_unbind(struct xen *xen, uint32_t port);

/* To a frontend that has closed its end, nothing is sent. */
void xen_notify(struct xen *xen, uint32_t port);
