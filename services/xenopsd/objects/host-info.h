/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the host has, of /proc and sysconf(3). With a hypervisor below, that is what this domain has. */

#include "xcp-types.h"

int host_info_get(struct xcp_host_info *ret_info);

/* The bytes of a line of /proc/meminfo. -ENOENT if there is none of this name. */
int host_info_parse(const char *meminfo, const char *name, uint64_t *ret_bytes);
