/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The clauses of docs/vhost-user-conformance.md, in tables that end with an id of NULL. */

#include "session.h"

extern const struct clause clauses_messages[], clauses_rings[], clauses_memory[], clauses_device[], clauses_block[], clauses_hostile[],
        clauses_packed[], clauses_inband[], clauses_xen[];
