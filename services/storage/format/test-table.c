/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of a storage repository in a file: what is written is read again, and what is damaged or a lie is noticed. */

#include <errno.h>
#include <glib.h>
#include <string.h>

#include "table.h"

#define PAIR (2 * TABLE_PAGE_SIZE)
#define MIB TABLE_UNIT

struct fixture {
        struct uuid sr;
        struct table_header header;
        struct table_page page;
        uint8_t pair[PAIR];
        unsigned copy;
};

static void set_up(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(uuid_generate(&f->sr), ==, 0);
        g_assert_cmpint(table_header_make(&f->header, &f->sr, 1000 * MIB), ==, 0);
        for (unsigned i = 0; i < 3; i++) {
                struct table_entry *entry = &f->page.entries[2 * i];

                g_assert_cmpint(uuid_generate(&entry->vdi), ==, 0);
                *entry = (struct table_entry) {
                        .vdi = entry->vdi,
                        .offset = f->header.data + 2 * i * MIB,
                        .length = 2 * MIB,
                        .size = 2 * MIB - 512,
                        .created_usec = 12345,
                        .flags = TABLE_SNAPSHOT | TABLE_READ_ONLY,
                };
                g_snprintf(entry->name, sizeof entry->name, "disk %u", i);
        }
        f->page.generation = 7;
        table_page_encode(&f->page, 3, f->pair);
}

static int decode(struct fixture *f, struct table_page *ret_page) {
        return table_page_decode(f->pair, 3, &f->header, ret_page, &f->copy);
}

static void test_header(struct fixture *f, gconstpointer data) {
        struct table_header header;

        memset(f->pair, 0, PAIR);
        g_assert_cmpint(table_header_decode(f->pair, &header), ==, -ENODATA);
        g_assert_false(table_header_is_begun(f->pair, &f->sr));
        table_header_encode(&f->header, f->pair);
        g_assert_true(table_header_is_begun(f->pair, &f->sr));
        g_assert_cmpint(table_header_decode(f->pair, &header), ==, 0);
        g_assert_cmpint(uuid_compare(&header.sr, &f->sr), ==, 0);
        g_assert_cmpuint(header.size, ==, f->header.size);
        g_assert_cmpuint(header.n_slots, ==, f->header.n_slots);
        g_assert_cmpuint(header.data, ==, f->header.data);
        g_assert_cmpuint(header.data % MIB, ==, 0);
        g_assert_cmpuint(header.data, >=, table_page_offset(table_n_pages(&header)));

        memmove(f->pair + TABLE_PAGE_SIZE, f->pair, TABLE_PAGE_SIZE);
        memset(f->pair, 0xff, TABLE_PAGE_SIZE);
        g_assert_cmpint(table_header_decode(f->pair, &header), ==, 0);
        f->pair[TABLE_PAGE_SIZE + 50] ^= 1;
        g_assert_cmpint(table_header_decode(f->pair, &header), ==, -EUCLEAN);
}

static void test_sizes_of_places(struct fixture *f, gconstpointer data) {
        struct table_header header;

        g_assert_cmpint(table_header_make(&header, &f->sr, 0), ==, -ENOSPC);
        g_assert_cmpint(table_header_make(&header, &f->sr, 2 * MIB - 1), ==, -ENOSPC);
        g_assert_cmpint(table_header_make(&header, &f->sr, 2 * MIB), ==, 0);
        g_assert_cmpuint(header.n_slots, ==, TABLE_SLOTS_MIN);
        g_assert_cmpint(table_header_make(&header, &f->sr, UINT64_C(1) << 44), ==, 0);
        g_assert_cmpuint(header.n_slots, ==, TABLE_SLOTS_MAX);
        g_assert_cmpint(table_header_make(&header, &f->sr, UINT64_MAX), ==, -E2BIG);
}

static void test_page(struct fixture *f, gconstpointer data) {
        struct table_page page;

        g_assert_cmpint(decode(f, &page), ==, 0);
        g_assert_cmpuint(f->copy, ==, 0);
        g_assert_cmpuint(page.generation, ==, f->page.generation);
        for (unsigned i = 0; i < TABLE_ENTRIES_PER_PAGE; i++) {
                const struct table_entry *a = &page.entries[i], *b = &f->page.entries[i];

                g_assert_cmpint(uuid_compare(&a->vdi, &b->vdi), ==, 0);
                g_assert_cmpuint(a->offset, ==, b->offset);
                g_assert_cmpuint(a->length, ==, b->length);
                g_assert_cmpuint(a->size, ==, b->size);
                g_assert_cmpuint(a->flags, ==, b->flags);
                g_assert_cmpuint(a->created_usec, ==, b->created_usec);
                g_assert_cmpstr(a->name, ==, b->name);
        }
}

static void test_zeros_are_an_empty_page(struct fixture *f, gconstpointer data) {
        struct table_page page;

        memset(f->pair, 0, PAIR);
        g_assert_cmpint(decode(f, &page), ==, 0);
        g_assert_cmpuint(page.generation, ==, 0);
        g_assert_cmpuint(f->copy, ==, 1);
}

static void test_the_newer_copy_holds(struct fixture *f, gconstpointer data) {
        struct table_page page;

        f->page.generation = 8;
        f->page.entries[0] = (struct table_entry) {};
        table_page_encode(&f->page, 3, f->pair + TABLE_PAGE_SIZE);
        g_assert_cmpint(decode(f, &page), ==, 0);
        g_assert_cmpuint(f->copy, ==, 1);
        g_assert_true(uuid_is_null(&page.entries[0].vdi));
}

/* Each byte of the newer copy damaged, one after the other: the older one holds. */
static void test_a_torn_write_leaves_the_older_copy(struct fixture *f, gconstpointer data) {
        struct table_page page;

        f->page.generation = 8;
        table_page_encode(&f->page, 3, f->pair + TABLE_PAGE_SIZE);
        for (size_t i = 0; i < TABLE_PAGE_SIZE; i++) {
                f->pair[TABLE_PAGE_SIZE + i] ^= 0x10;
                g_assert_cmpint(decode(f, &page), ==, 0);
                g_assert_cmpuint(page.generation, ==, 7);
                f->pair[TABLE_PAGE_SIZE + i] ^= 0x10;
        }
}

static void test_no_copy_that_holds(struct fixture *f, gconstpointer data) {
        struct table_page page;

        f->pair[100] ^= 1;
        g_assert_cmpint(decode(f, &page), ==, -EUCLEAN);
}

static void test_a_page_at_another_place(struct fixture *f, gconstpointer data) {
        struct table_page page;

        g_assert_cmpint(table_page_decode(f->pair, 4, &f->header, &page, &f->copy), ==, -EUCLEAN);
}

/* Checksums that are right do not make it true. */
static void test_entries_that_cannot_be(struct fixture *f, gconstpointer data) {
        const struct table_entry good = f->page.entries[0];
        struct table_entry *entry = &f->page.entries[0];
        struct table_page page;

#define REFUSED(field, value)                                                   \
        do {                                                                    \
                *entry = good;                                                  \
                entry->field = (value);                                         \
                table_page_encode(&f->page, 3, f->pair);                        \
                g_assert_cmpint(decode(f, &page), ==, -EUCLEAN);                \
        } while (false)
        REFUSED(offset, 0);
        REFUSED(offset, good.offset + 512);
        REFUSED(offset, f->header.size);
        REFUSED(offset, UINT64_MAX - MIB + 1);
        REFUSED(length, 0);
        REFUSED(length, good.length + 1);
        REFUSED(length, f->header.size);
        REFUSED(length, UINT64_MAX - MIB + 1);
        REFUSED(size, 0);
        REFUSED(size, 513);
        REFUSED(size, good.length + 512);
        REFUSED(flags, 8);
#undef REFUSED
}

static void test_disks_that_overlap(struct fixture *f, gconstpointer data) {
        struct table_entry entries[3] = { f->page.entries[4], f->page.entries[0], f->page.entries[2] };

        g_assert_cmpint(table_check(entries, 3), ==, 0);
        g_assert_cmpuint(entries[0].offset, <, entries[1].offset);
        entries[0].length += MIB;
        g_assert_cmpint(table_check(entries, 3), ==, -EUCLEAN);
        entries[0].length -= MIB;
        entries[2].vdi = entries[0].vdi;
        g_assert_cmpint(table_check(entries, 3), ==, -EUCLEAN);
        g_assert_cmpint(table_check(NULL, 0), ==, 0);
}

static void test_uuids(struct fixture *f, gconstpointer data) {
        char text[UUID_TEXT_SIZE];
        struct uuid uuid;

        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789abcdef", &uuid), ==, 0);
        g_assert_cmpstr(uuid_format(&uuid, text), ==, "01234567-89ab-cdef-0123-456789abcdef");
        g_assert_cmpint(uuid_parse("01234567-89AB-cdef-0123-456789abcdef", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789abcdef0", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("01234567-89ab-cdef-0123-456789abcde", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("0123456789ab-cdef-0123-456789abcdef01", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("../../../../../../../../etc/passwd..", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse("", &uuid), ==, -EINVAL);
        g_assert_cmpint(uuid_parse_prefix("01234567-89ab-cdef-0123-456789abcdef.raw", &uuid), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/table/" name, struct fixture, NULL, set_up, function, NULL)
        ADD("header", test_header);
        ADD("sizes-of-places", test_sizes_of_places);
        ADD("page", test_page);
        ADD("zeros-are-an-empty-page", test_zeros_are_an_empty_page);
        ADD("the-newer-copy-holds", test_the_newer_copy_holds);
        ADD("a-torn-write-leaves-the-older-copy", test_a_torn_write_leaves_the_older_copy);
        ADD("no-copy-that-holds", test_no_copy_that_holds);
        ADD("a-page-at-another-place", test_a_page_at_another_place);
        ADD("entries-that-cannot-be", test_entries_that_cannot_be);
        ADD("disks-that-overlap", test_disks_that_overlap);
        ADD("uuids", test_uuids);
        return g_test_run();
}
