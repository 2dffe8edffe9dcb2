/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Mapping foreign pages at one contiguous address: in as many requests to the daemon as it takes, all of the pages or none.
 * Does not remember what was mapped; that is the caller's choice.
 */

#include "grant-handle.h"

#define GRANT_MAP_IDS(n_pages) (((n_pages) + EMU_MAP_PAGES_MAX - 1) / EMU_MAP_PAGES_MAX)

struct grant_refusal {
        size_t page;                    /* index in what was asked for */
        int16_t status;                 /* grant_table.h, GNTST_*; GNTST_okay if it was not the hypervisor that refused */
};

/*
 * Maps n_pages, at least one, with prot.
 *
 * ret_ids: room for GRANT_MAP_IDS(n_pages) mappings, to be released by EMU_GRANT_UNMAP after munmap(2).
 * ret_refusal: on failure, which page the hypervisor refused and why.
 *
 * Returns 0, or a negative errno, and then nothing is mapped.
 */
int grant_map(struct xengntdev_handle *handle, const struct emu_map_page *pages, size_t n_pages, int prot, void **ret_address,
              uint32_t *ret_ids, struct grant_refusal *ret_refusal);
