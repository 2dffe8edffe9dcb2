/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "foreign.h"

#include <string.h>

#include <glib.h>

static void test_what_is_no_disk(void) {
        static const struct {
                const char *start, *word;
        } cases[] = {
                { "KDMV\1", "VMDK" }, { "vhdxfile", "VHDX" }, { "conectix", "VHD" }, { "QED", "QED" }, { "\xfd" "7zXZ", "xz" }, { "\x1f\x8b\x08", "gzip" },
                { "BZh9", "bzip2" },  { "PK\3\4", "zip" },    { "7z\xbc\xaf\x27\x1c", "7-Zip" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                uint8_t data[FOREIGN_SIZE] = {};

                memcpy(data, cases[i].start, strlen(cases[i].start));
                g_assert_nonnull(foreign_format(data, sizeof data));
                g_assert_nonnull(strstr(foreign_format(data, sizeof data), cases[i].word));
        }
}

static void test_a_magic_that_is_not_at_the_beginning(void) {
        uint8_t data[FOREIGN_SIZE] = {};

        memcpy(data + 64, "\x7f\x10\xda\xbe", 4);
        g_assert_nonnull(foreign_format(data, sizeof data));
        g_assert_null(foreign_format(data, 67));
        memmove(data, data + 64, 4);
        memset(data + 64, 0, 4);
        g_assert_null(foreign_format(data, sizeof data));
}

/* A boot sector, an empty disk, half a magic, nothing. */
static void test_disks(void) {
        uint8_t data[FOREIGN_SIZE] = { 0xeb, 0x63, 0x90 };

        data[510] = 0x55;
        data[511] = 0xaa;
        g_assert_null(foreign_format(data, sizeof data));
        memset(data, 0, sizeof data);
        g_assert_null(foreign_format(data, sizeof data));
        memcpy(data, "KDMV", 4);
        g_assert_null(foreign_format(data, 3));
        g_assert_null(foreign_format(data, 0));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/images/foreign/what-is-no-disk", test_what_is_no_disk);
        g_test_add_func("/images/foreign/a-magic-that-is-not-at-the-beginning", test_a_magic_that_is_not_at_the_beginning);
        g_test_add_func("/images/foreign/disks", test_disks);
        return g_test_run();
}
