/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Objects: from what people call something to its object path. */

#include "choice.h"
#include "client.h"
#include "command.h"

/*
 * kind: PARAMETER_VM, _VDI, _SR, _TASK, _LINK, _ATTACHED, _OBJECT, and with the path of a VM as container _DISK and _NIC. text: a name, a UUID or its
 * beginning, or an object path, which is taken as it is; for a task SERVICE/NUMBER; for any object KIND/NAME, SERVICE, or
 * SERVICE/REST-OF-PATH. Returns a path to be freed, or NULL.
 */
char *objects_find(struct context *context, enum parameter_kind kind, const char *container, const char *text, GError **error);

/* All of that kind, as struct candidate. */
GPtrArray *objects_list(struct context *context, enum parameter_kind kind, const char *container, GError **error);

/* What the last part of a path says, for people: a UUID with dashes. To be freed. */
char *objects_id(const char *path);

/* The interface of a kind's objects, as in org.xen.xcp.xenopsd1.VM. */
const char *objects_interface(enum parameter_kind kind);
