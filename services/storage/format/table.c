/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "table.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_MAGIC UINT64_C(0x3144485253504358)       /* XCPSRHD1 */
#define PAGE_MAGIC UINT64_C(0x3142545253504358)         /* XCPSRTB1 */
#define DEVICE_SIZE_MAX (UINT64_C(1) << 60)

/* As they are on disk. */
struct disk_prefix {
        uint64_t magic;
        uint32_t checksum;              /* of the whole page, with this being 0 */
        uint32_t index;
        uint64_t generation;
        uint8_t reserved[8];
};

struct disk_header {
        struct disk_prefix prefix;
        uint8_t sr[UUID_SIZE];
        uint64_t size;
        uint64_t data;
        uint32_t n_slots;
};

struct disk_entry {
        uint8_t vdi[UUID_SIZE];
        uint8_t snapshot_of[UUID_SIZE];
        uint64_t offset, length, size, created_usec;
        uint32_t flags;
        uint32_t n_name;
        char name[TABLE_NAME_MAX + 1];
        uint8_t reserved[168];
};

struct disk_page {
        struct disk_prefix prefix;
        struct disk_entry entries[TABLE_ENTRIES_PER_PAGE];
        uint8_t reserved[96];
};

_Static_assert(sizeof(struct disk_entry) == 496, "the format");
_Static_assert(sizeof(struct disk_page) == TABLE_PAGE_SIZE, "the format");

/* CRC-32C (RFC 3720, B.4), four bits at a time. */
static uint32_t checksum(const uint8_t *bytes, size_t n) {
        static const uint32_t table[16] = {
                0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
                0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
        };
        uint32_t crc = ~0u;

        for (size_t i = 0; i < n; i++) {
                crc ^= bytes[i];
                crc = table[crc & 0xf] ^ crc >> 4;
                crc = table[crc & 0xf] ^ crc >> 4;
        }
        return ~crc;
}

static void seal(uint8_t *bytes, uint64_t magic, uint32_t index, uint64_t generation) {
        struct disk_prefix prefix = { htole64(magic), 0, htole32(index), htole64(generation), {} };

        memcpy(bytes, &prefix, sizeof prefix);
        prefix.checksum = htole32(checksum(bytes, TABLE_PAGE_SIZE));
        memcpy(bytes, &prefix, sizeof prefix);
}

void table_page_seal(uint8_t *bytes, bool is_header) {
        seal(bytes, is_header ? HEADER_MAGIC : PAGE_MAGIC, 0, 1);
}

/* Is it a page of this kind, whole and at its place? */
static bool holds(const uint8_t *untrusted_bytes, uint64_t magic, uint32_t index, uint64_t *ret_generation) {
        uint8_t bytes[TABLE_PAGE_SIZE];
        struct disk_prefix prefix;
        uint32_t said;

        memcpy(bytes, untrusted_bytes, sizeof bytes);
        memcpy(&prefix, bytes, sizeof prefix);
        said = le32toh(prefix.checksum);
        prefix.checksum = 0;
        memcpy(bytes, &prefix, sizeof prefix);
        if (le64toh(prefix.magic) != magic || le32toh(prefix.index) != index || checksum(bytes, sizeof bytes) != said)
                return false;
        *ret_generation = le64toh(prefix.generation);
        return true;
}

static bool is_zero(const uint8_t *bytes, size_t n) {
        return n == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, n - 1) == 0);
}

/* Which of two copies holds: 0 or 1; -ENODATA if there is nothing at all, -EUCLEAN if neither does. */
static int pick(const uint8_t *untrusted_pair, uint64_t magic, uint32_t index, uint64_t *ret_generation) {
        uint64_t generations[2];
        bool good[2];

        for (unsigned i = 0; i < 2; i++)
                good[i] = holds(untrusted_pair + i * TABLE_PAGE_SIZE, magic, index, &generations[i]);
        if (!good[0] && !good[1])
                return is_zero(untrusted_pair, 2 * (size_t) TABLE_PAGE_SIZE) ? -ENODATA : -EUCLEAN;

        unsigned copy = good[0] && good[1] ? generations[1] > generations[0] : good[1];

        *ret_generation = generations[copy];
        return (int) copy;
}

/* The header */

uint32_t table_n_pages(const struct table_header *header) {
        return header->n_slots / TABLE_ENTRIES_PER_PAGE;
}

uint64_t table_page_offset(uint32_t index) {
        return ((uint64_t) index + 1) * 2 * TABLE_PAGE_SIZE;
}

static uint64_t data_offset(uint32_t n_slots) {
        uint64_t end = table_page_offset(n_slots / TABLE_ENTRIES_PER_PAGE);

        return (end + TABLE_UNIT - 1) / TABLE_UNIT * TABLE_UNIT;
}

int table_header_make(struct table_header *ret_header, const struct uuid *sr, uint64_t size) {
        uint64_t n = size / TABLE_UNIT / TABLE_ENTRIES_PER_PAGE * TABLE_ENTRIES_PER_PAGE;       /* a disk has a unit at least */
        uint32_t n_slots = n < TABLE_SLOTS_MIN ? TABLE_SLOTS_MIN : n > TABLE_SLOTS_MAX ? TABLE_SLOTS_MAX : (uint32_t) n;

        if (size > DEVICE_SIZE_MAX)
                return -E2BIG;
        size = size / TABLE_UNIT * TABLE_UNIT;
        if (size < data_offset(n_slots) + TABLE_UNIT)
                return -ENOSPC;
        *ret_header = (struct table_header) { *sr, size, n_slots, data_offset(n_slots) };
        return 0;
}

void table_header_encode(const struct table_header *header, uint8_t *ret_bytes) {
        struct disk_header disk = {
                .size = htole64(header->size),
                .data = htole64(header->data),
                .n_slots = htole32(header->n_slots),
        };

        memcpy(disk.sr, header->sr.bytes, UUID_SIZE);
        memset(ret_bytes, 0, TABLE_PAGE_SIZE);
        memcpy(ret_bytes, &disk, sizeof disk);
        seal(ret_bytes, HEADER_MAGIC, 0, 1);
}

int table_header_decode(const uint8_t *untrusted_pair, struct table_header *ret_header) {
        struct table_header header;
        struct disk_header disk;
        uint64_t generation;
        int copy;

        copy = pick(untrusted_pair, HEADER_MAGIC, 0, &generation);
        if (copy < 0)
                return copy;
        memcpy(&disk, untrusted_pair + (unsigned) copy * TABLE_PAGE_SIZE, sizeof disk);
        memcpy(header.sr.bytes, disk.sr, UUID_SIZE);
        header.size = le64toh(disk.size);
        header.data = le64toh(disk.data);
        header.n_slots = le32toh(disk.n_slots);
        if (uuid_is_null(&header.sr) || header.n_slots < TABLE_SLOTS_MIN || header.n_slots > TABLE_SLOTS_MAX ||
            header.n_slots % TABLE_ENTRIES_PER_PAGE != 0 || header.data != data_offset(header.n_slots) ||
            header.size > DEVICE_SIZE_MAX || header.size % TABLE_UNIT != 0 || header.size <= header.data)
                return -EUCLEAN;
        *ret_header = header;
        return 0;
}

bool table_header_is_begun(const uint8_t *untrusted_pair, const struct uuid *sr) {
        for (unsigned i = 0; i < 2; i++) {
                struct disk_header disk;

                memcpy(&disk, untrusted_pair + i * TABLE_PAGE_SIZE, sizeof disk);
                if (le64toh(disk.prefix.magic) == HEADER_MAGIC && memcmp(disk.sr, sr->bytes, UUID_SIZE) == 0)
                        return true;
        }
        return false;
}

/* Pages */

static void entry_encode(const struct table_entry *entry, struct disk_entry *disk) {
        size_t n = strnlen(entry->name, TABLE_NAME_MAX);

        memcpy(disk->vdi, entry->vdi.bytes, UUID_SIZE);
        memcpy(disk->snapshot_of, entry->snapshot_of.bytes, UUID_SIZE);
        disk->offset = htole64(entry->offset);
        disk->length = htole64(entry->length);
        disk->size = htole64(entry->size);
        disk->created_usec = htole64(entry->created_usec);
        disk->flags = htole32(entry->flags);
        disk->n_name = htole32((uint32_t) n);
        memcpy(disk->name, entry->name, n);
}

void table_page_encode(const struct table_page *page, uint32_t index, uint8_t *ret_bytes) {
        struct disk_page disk = {};

        for (size_t i = 0; i < TABLE_ENTRIES_PER_PAGE; i++)
                if (!uuid_is_null(&page->entries[i].vdi))
                        entry_encode(&page->entries[i], &disk.entries[i]);
        memcpy(ret_bytes, &disk, sizeof disk);
        seal(ret_bytes, PAGE_MAGIC, index, page->generation);
}

static bool range_is_possible(const struct table_entry *entry, const struct table_header *header) {
        return entry->offset >= header->data && entry->offset < header->size && entry->offset % TABLE_UNIT == 0 &&
               entry->length > 0 && entry->length <= header->size - entry->offset && entry->length % TABLE_UNIT == 0 &&
               entry->size > 0 && entry->size <= entry->length && entry->size % 512 == 0;
}

static int entry_decode(const struct disk_entry *disk, const struct table_header *header, struct table_entry *ret_entry) {
        struct table_entry entry = {};
        uint32_t n_name = le32toh(disk->n_name);

        memcpy(entry.vdi.bytes, disk->vdi, UUID_SIZE);
        if (uuid_is_null(&entry.vdi)) {
                *ret_entry = entry;
                return 0;
        }
        memcpy(entry.snapshot_of.bytes, disk->snapshot_of, UUID_SIZE);
        entry.offset = le64toh(disk->offset);
        entry.length = le64toh(disk->length);
        entry.size = le64toh(disk->size);
        entry.created_usec = le64toh(disk->created_usec);
        entry.flags = le32toh(disk->flags);
        if (!range_is_possible(&entry, header) || (entry.flags & ~(uint32_t) _TABLE_FLAGS) != 0 || n_name > TABLE_NAME_MAX ||
            memchr(disk->name, '\0', n_name))
                return -EUCLEAN;
        memcpy(entry.name, disk->name, n_name);
        *ret_entry = entry;
        return 0;
}

int table_page_decode(const uint8_t *untrusted_pair, uint32_t index, const struct table_header *header, struct table_page *ret_page,
                      unsigned *ret_copy) {
        struct table_page page = {};
        struct disk_page disk;
        int copy, r;

        copy = pick(untrusted_pair, PAGE_MAGIC, index, &page.generation);
        if (copy == -ENODATA) {
                *ret_page = page;
                *ret_copy = 1;          /* so that the first is written next */
                return 0;
        }
        if (copy < 0)
                return copy;
        memcpy(&disk, untrusted_pair + (unsigned) copy * TABLE_PAGE_SIZE, sizeof disk);
        for (size_t i = 0; i < TABLE_ENTRIES_PER_PAGE; i++) {
                r = entry_decode(&disk.entries[i], header, &page.entries[i]);
                if (r < 0)
                        return r;
        }
        *ret_page = page;
        *ret_copy = (unsigned) copy;
        return 0;
}

/* All entries together */

static int compare_uuids(const void *a, const void *b) {
        return uuid_compare(&((const struct table_entry *) a)->vdi, &((const struct table_entry *) b)->vdi);
}

static int compare_offsets(const void *a, const void *b) {
        uint64_t x = ((const struct table_entry *) a)->offset, y = ((const struct table_entry *) b)->offset;

        return x < y ? -1 : x > y;
}

int table_check(struct table_entry *entries, size_t n) {
        if (n == 0)                     /* there may be no array at all */
                return 0;
        qsort(entries, n, sizeof *entries, compare_uuids);
        for (size_t i = 1; i < n; i++)
                if (uuid_compare(&entries[i - 1].vdi, &entries[i].vdi) == 0)
                        return -EUCLEAN;
        qsort(entries, n, sizeof *entries, compare_offsets);
        for (size_t i = 1; i < n; i++)
                if (entries[i].offset - entries[i - 1].offset < entries[i - 1].length)
                        return -EUCLEAN;
        return 0;
}
