/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The table of a storage repository in a single file or block device: which disks there are, and where.
 *
 * At the front are a header and pages of eight entries each, and behind them the disks, each one range of whole TABLE_UNITs. The header
 * and every page are there twice, side by side. A page is changed by writing the copy that does not hold, with a higher generation and
 * its checksum: a write that is torn leaves the other copy, which holds until then. No change needs more than one page. A pair
 * that is all zeros is a page without entries, generation 0.
 *
 * Numbers are little-endian. This is the codec: it does no I/O, and takes every byte for one that anybody may have written.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "uuid.h"

#define TABLE_PAGE_SIZE 4096u           /* what a disk with large sectors writes in one go */
#define TABLE_ENTRIES_PER_PAGE 8u
#define TABLE_UNIT (UINT64_C(1) << 20)  /* disks begin and end at multiples of this */
#define TABLE_SLOTS_MIN 64u
#define TABLE_SLOTS_MAX 65536u          /* 64 MiB of table */
#define TABLE_NAME_MAX 255u

struct table_header {
        struct uuid sr;
        uint64_t size;                  /* bytes of the file or device that are used */
        uint32_t n_slots;
        uint64_t data;                  /* where the first disk can begin */
};

enum {                                  /* flags of an entry */
        TABLE_READ_ONLY = 1 << 0,
        TABLE_SHARABLE = 1 << 1,
        TABLE_SNAPSHOT = 1 << 2,
        _TABLE_FLAGS = (1 << 3) - 1,
};

struct table_entry {
        struct uuid vdi;                /* null: the slot is free */
        struct uuid snapshot_of;        /* null: nothing */
        uint64_t offset, length;        /* of the range */
        uint64_t size;                  /* what readers see: a multiple of 512 up to length */
        uint64_t created_usec;
        uint32_t flags;
        char name[TABLE_NAME_MAX + 1];
};

struct table_page {
        uint64_t generation;
        struct table_entry entries[TABLE_ENTRIES_PER_PAGE];
};

/* The header for a place of so many bytes. -ENOSPC: it is too small. */
int table_header_make(struct table_header *ret_header, const struct uuid *sr, uint64_t size);

uint32_t table_n_pages(const struct table_header *header);

/* Where the pair of a page is; its second copy follows the first. */
uint64_t table_page_offset(uint32_t index);

void table_header_encode(const struct table_header *header, uint8_t *ret_bytes);
void table_page_encode(const struct table_page *page, uint32_t index, uint8_t *ret_bytes);

/* Gives bytes the magic and the checksum of a header, or of page 0: for who attacks what reads them. */
void table_page_seal(uint8_t *bytes, bool is_header);

/* Both read a pair, 2 * TABLE_PAGE_SIZE bytes. -EUCLEAN: neither copy holds, or it says what cannot be. -ENODATA: there is no header. */
int table_header_decode(const uint8_t *untrusted_pair, struct table_header *ret_header);
int table_page_decode(const uint8_t *untrusted_pair, uint32_t index, const struct table_header *header, struct table_page *ret_page,
                      unsigned *ret_copy);

/* Whether somebody began to write the header of this storage repository here, however far he came. */
bool table_header_is_begun(const uint8_t *untrusted_pair, const struct uuid *sr);

/* -EUCLEAN: two disks have a range, or a UUID, in common. Sorts them by their offsets. */
int table_check(struct table_entry *entries, size_t n);
