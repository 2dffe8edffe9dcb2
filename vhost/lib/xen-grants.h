/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Granted pages by way of libxengnttab: a vhost_xen (xen.h) for programs that are linked with it. pkg-config xcp-vhost-xen. */

#include "xen.h"

/* Negative errno: there is no Xen here, or no access to its grants. */
int vhost_xen_grants_open(struct vhost_xen *ret_xen, uint32_t domid);
void vhost_xen_grants_close(struct vhost_xen *xen);
