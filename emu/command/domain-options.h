/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How a new domain is wanted: the options that `xenemu up` and `xenemu create` have in common. */

#include <stdbool.h>
#include <stdint.h>

#include "command.h"
#include "protocol.h"

/* One paragraph of --help. */
#define DOMAIN_OPTIONS_HELP                                                                                                             \
        "  --isolate, --no-isolate   give a guest's programs namespaces of their own (network, PID, mounts, IPC, host name), so that\n" \
        "                            nothing but Xen and files outside /tmp, /run, /var/tmp and /dev/shm joins two domains; or do\n"    \
        "                            not. Default: isolate if root\n"                                                                   \
        "  --limit NAME=N            per guest: handles (open Xen devices, 1024), ports (event channels, 1023), shared-pages (1024),\n" \
        "                            grants (32768), maptrack (mapped pages, 262144)\n"

/*
 * Creates a domain and introduces it to the store. name: NULL for "domN". uuid: NULL for a random one.
 * Returns 0, or a negative errno after a report; then there is no such domain.
 */
int domain_create(const struct context *context, int control_fd, const char *name, const char *uuid, bool isolate,
                  const struct emu_limits *limits, uint32_t *ret_domid);
