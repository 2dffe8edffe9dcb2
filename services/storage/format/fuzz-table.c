/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what reads storage repositories and images from elsewhere: the header and a page of the table, and headers of qcow2 images.
 *
 * The first byte says which. Checksums are put right, as an attacker would. Invariants: what is taken keeps to the bounds of the place that
 * it is in, and is written as it was read.
 */

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2-header.h"
#include "table.h"

#define PAIR (2 * TABLE_PAGE_SIZE)

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void attack_page(const uint8_t *pair) {
        const struct uuid sr = { { 1 } };
        struct table_entry entries[TABLE_ENTRIES_PER_PAGE];
        struct table_header header;
        struct table_page page, again;
        uint8_t written[PAIR] = {};
        unsigned copy;

        demand(table_header_make(&header, &sr, 100 * TABLE_UNIT) == 0);
        if (table_page_decode(pair, 0, &header, &page, &copy) < 0)
                return;
        for (size_t i = 0; i < TABLE_ENTRIES_PER_PAGE; i++) {
                const struct table_entry *entry = &page.entries[i];

                if (uuid_is_null(&entry->vdi))
                        continue;
                demand(entry->offset >= header.data && entry->offset + entry->length > entry->offset);
                demand(entry->offset + entry->length <= header.size && entry->size <= entry->length);
                demand(memchr(entry->name, '\0', sizeof entry->name));
        }
        table_page_encode(&page, 0, written);
        demand(table_page_decode(written, 0, &header, &again, &copy) == 0);
        for (size_t i = 0; i < TABLE_ENTRIES_PER_PAGE; i++) {
                demand(uuid_compare(&page.entries[i].vdi, &again.entries[i].vdi) == 0);
                demand(page.entries[i].offset == again.entries[i].offset && page.entries[i].size == again.entries[i].size);
                demand(strcmp(page.entries[i].name, again.entries[i].name) == 0);
        }
        memcpy(entries, page.entries, sizeof entries);
        table_check(entries, TABLE_ENTRIES_PER_PAGE);
}

static void attack_header(const uint8_t *pair) {
        struct table_header header;

        if (table_header_decode(pair, &header) < 0)
                return;
        demand(header.data < header.size);
        demand(table_page_offset(table_n_pages(&header)) <= header.data);
}

static void attack_image(const uint8_t *data, size_t size) {
        struct qcow2_header header;
        const char *reason = NULL;

        if (qcow2_header_decode(data, size, &header, &reason) < 0)
                demand(reason);
        else
                demand(header.size > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        uint8_t pair[PAIR] = {};

        if (size == 0)
                return 0;
        if (*data % 3 == 0) {
                attack_image(data + 1, size - 1);
                return 0;
        }
        memcpy(pair, data + 1, size - 1 < sizeof pair ? size - 1 : sizeof pair);
        table_page_seal(pair, *data % 3 == 1);
        if (*data % 3 == 1)
                attack_header(pair);
        else
                attack_page(pair);
        return 0;
}
