/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A handle of hypercalls, and the hypercalls that emulated Xen knows: what xenstored and Debian's tools need to see which domains
 * and event channels there are. The daemon answers them for domain 0 only.
 */

#include <xencall.h>

#include "connection.h"

#define HYPERCALL_ARGUMENTS 5

struct xencall_handle {
        struct connection connection;
};

/* Makes hypercall op. Returns its result or a negative errno, -ENOSYS for every one that is not known. */
long hypercall_make(xencall_handle *xcall, unsigned int op, const uint64_t arguments[HYPERCALL_ARGUMENTS]);
