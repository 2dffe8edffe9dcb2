/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Moving the storage service to another process: what common/handover.h asks of a service. */

#include "handover.h"

struct storage;

extern const struct handover_kind storage_handover;

/* storage.c: looks at all storage repositories, and from then on at those that are unreachable. */
int storage_start_probes(struct storage *storage);
const char *storage_io_program(void);
