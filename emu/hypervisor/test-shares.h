/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Shares and mappings for tests: domain 1 of a machine grants, and domain 2 maps. */

#include "grant.h"
#include "test-machine.h"

#define GRANTER 1u
#define GRANTEE 2u

/* Demands that it can be made. readonly: what it grants. */
struct share *share_pages(struct machine *m, uint32_t n_pages, bool readonly);

struct emu_map_page page_of(const struct share *share, uint32_t page);

/* Maps one page as domid and returns its status, GNTST_*. ret_mapping may be NULL, and then it is unmapped again. */
int16_t try_map(struct machine *m, uint32_t domid, struct emu_map_page page, bool readonly, struct mapping **ret_mapping);

/* Demands that domain 2 can map it. */
struct mapping *map(struct machine *m, struct emu_map_page page, bool readonly);
