/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * xl.cfg(5): configurations as people have them for xl, read by xl's own parser and made into a VM's. What has no place there is named,
 * so that nobody finds out only when it is missing.
 */

#include <stddef.h>

#include "idl.h"
#include "xcp-types.h"

/*
 * name: of the file, for messages. What is in *ret_spec is in the arena. ret_left: lines, each something that the file says and that is
 * left out, for free(); empty if there is nothing. InvalidArgument with what is wrong.
 */
int xl_config_read(const char *text, size_t size, const char *name, struct idl_arena *arena, struct xcp_vm_spec *ret_spec, char **ret_left,
                   struct idl_error *error);
