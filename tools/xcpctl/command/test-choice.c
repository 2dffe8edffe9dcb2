/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Which object is meant, what records are written as, where the bus is, and how far a task is: all without a bus. */

#include <string.h>

#include "address.h"
#include "choice.h"
#include "progress.h"
#include "record.h"

#define UUID_A "0a000000-0000-4000-8000-000000000001"
#define UUID_B "0a000000-0000-4000-8000-000000000002"
#define UUID_C "0c000000-0000-4000-8000-000000000003"
#define STORED "/org/xen/xcp/storage/vdi/1"

static GPtrArray *some(void) {
        GPtrArray *candidates = candidates_new();

        candidates_add(candidates, "/a", UUID_A, "web");
        candidates_add(candidates, "/b", UUID_B, "twin");
        candidates_add(candidates, "/c", UUID_C, "twin");
        candidates_add(candidates, "/d", "", "0c00");           /* a name that could begin a UUID */
        return candidates;
}

static void check_chosen(const char *text, const char *path) {
        g_autoptr(GPtrArray) candidates = some();
        g_autoptr(GError) error = NULL;
        const struct candidate *chosen = choice_make(candidates, "VM", text, &error);

        g_assert_no_error(error);
        g_assert_cmpstr(chosen->path, ==, path);
}

static void check_refused(const char *text, const char *because) {
        g_autoptr(GPtrArray) candidates = some();
        g_autoptr(GError) error = NULL;

        g_assert_null(choice_make(candidates, "VM", text, &error));
        g_assert_nonnull(strstr(error->message, because));
        g_assert_cmpuint(strlen(error->message), <, 1000);
}

static void test_by_name_uuid_and_prefix(void) {
        check_chosen("web", "/a");
        check_chosen(UUID_B, "/b");
        check_chosen("0A000000-0000-4000-8000-000000000002", "/b");
        check_chosen("0c000", "/c");
        check_chosen("0c00", "/d");
}

static void test_what_is_not_clear_is_refused(void) {
        g_autofree char *long_name = g_strnfill(10000, 'x');

        check_refused("db", "no VM 'db'");
        check_refused("wbe", "no VM 'wbe'; did you mean web?");
        check_refused("twin", UUID_B " (twin), " UUID_C " (twin)");
        check_refused("0a00", "ambiguous");
        check_refused("0c", "no VM");           /* too short for a prefix */
        check_refused("", "no VM");
        check_refused(long_name, "no VM");
}

static void test_many_candidates_are_not_all_named(void) {
        g_autoptr(GPtrArray) candidates = candidates_new();
        g_autoptr(GError) error = NULL;

        for (unsigned i = 0; i < 100; i++)
                candidates_add(candidates, "/x", UUID_A, "same");
        g_assert_null(choice_make(candidates, "VDI", "same", &error));
        g_assert_nonnull(strstr(error->message, "and 95 more"));
}

static void check_record(const char *record, const char *text, const char *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) value = record_of_text(NULL, record, text, &error), wanted = NULL;

        g_assert_no_error(error);
        wanted = g_variant_parse(G_VARIANT_TYPE_VARDICT, expected, NULL, NULL, &error);
        g_assert_no_error(error);
        for (gsize i = 0; i < g_variant_n_children(wanted); i++) {
                g_autoptr(GVariant) child = NULL, got = NULL;
                const char *key;

                g_variant_get_child(wanted, i, "{&sv}", &key, &child);
                got = g_variant_lookup_value(value, key, NULL);
                g_assert_nonnull(got);
                g_assert_true(g_variant_equal(child, got));
        }
        g_assert_cmpuint(g_variant_n_children(value), ==, g_variant_n_children(wanted));
}

static void test_records_as_text(void) {
        check_record("DiskSpec", STORED, "{'vdi': <objectpath '" STORED "'>}");
        check_record("DiskSpec", "vdi=" STORED ",mode=ReadOnly,boot-index=2", "{'vdi': <objectpath '" STORED "'>, 'mode': <'ReadOnly'>, 'boot_index': <uint32 2>}");
        check_record("DiskSpec", "path=/dev/a\\,b,kind=CdRom", "{'path': <'/dev/a,b'>, 'kind': <'CdRom'>}");
        check_record("DiskSpec", "", "{}");
        check_record("NetworkInterfaceSpec", "xenbr0,carrier=false,rate_limit=1M",
                     "{'network': <'xenbr0'>, 'carrier': <false>, 'rate_limit': <uint64 1048576>}");
}

static void check_no_record(const char *record, const char *text, const char *because) {
        g_autoptr(GError) error = NULL;

        g_assert_null(record_of_text(NULL, record, text, &error));
        g_assert_error(error, CONTEXT_ERROR, CONTEXT_ERROR_USAGE);
        g_assert_nonnull(strstr(error->message, because));
}

static void test_records_that_are_none(void) {
        check_no_record("DiskSpec", STORED ",size=1", "'size' is no key of DiskSpec; there are: name, vdi,");
        check_no_record("DiskSpec", STORED ",ReadOnly", "'ReadOnly' is not KEY=VALUE");
        check_no_record("DiskSpec", STORED ",mode=Maybe", "mode: there is no 'Maybe'; there are: ReadWrite, ReadOnly");
        check_no_record("DiskSpec", STORED ",boot_index=first", "boot_index");
        check_no_record("NetworkInterfaceSpec", "n,mtu=-1", "mtu");
}

static void test_where_the_bus_is(void) {
        g_autofree char *installed = address_socket_in(NULL, false, 0), *named = address_socket_in("/r", true, 7);
        g_autofree char *tree = address_socket_in("", true, 0), *address = address_of_socket("/a b;c/bus");

        g_assert_cmpstr(installed, ==, "/run/xcpbus/dom0/bus");
        g_assert_cmpstr(named, ==, "/r/dom7/bus");
        g_assert_true(g_str_has_suffix(tree, "/build/run/dom0/bus"));
        g_assert_cmpstr(address, ==, "unix:path=/a%20b%3Bc/bus");
}

#define SECOND INT64_C(1000000)

static void test_a_bar_on_a_terminal(void) {
        struct progress *progress = progress_new(true, "Copy \033[31mdisk", 0);
        g_autofree char *early = progress_text(progress, 0.1, "Running", 100, SECOND / 10);
        g_autofree char *half = progress_text(progress, 0.5, "Running", 100, 3 * SECOND), *narrow = progress_text(progress, 0.5, "Running", 40, 3 * SECOND);
        g_autofree char *wrong = progress_text(progress, 7.0, "Running", 100, 3 * SECOND);

        g_assert_null(early);
        g_assert_cmpstr(half, ==, "\r\033[KCopy \\u{1b}[31mdisk [###############               ]  50 %  Running  3 s");
        g_assert_null(strchr(narrow, '#'));
        g_assert_nonnull(strstr(wrong, "100 %"));
        g_assert_cmpstr(progress_end(progress), ==, "\r\033[K");
        g_assert_cmpstr(progress_end(progress), ==, "");
        progress_free(progress);
}

static void test_lines_without_a_terminal(void) {
        struct progress *progress = progress_new(false, "Copy disk", 0);
        g_autofree char *early = progress_text(progress, 0.1, "Running", 80, SECOND);
        g_autofree char *first = progress_text(progress, 0.25, "Running", 80, 3 * SECOND), *soon = progress_text(progress, 0.5, "Running", 80, 4 * SECOND);
        g_autofree char *later = progress_text(progress, 0.75, "Running", 80, 9 * SECOND);

        g_assert_null(early);
        g_assert_cmpstr(first, ==, "Copy disk: 25 %  Running  3 s\n");
        g_assert_null(soon);
        g_assert_cmpstr(later, ==, "Copy disk: 75 %  Running  9 s\n");
        g_assert_cmpstr(progress_end(progress), ==, "");
        progress_free(progress);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/choice/by-name-uuid-and-prefix", test_by_name_uuid_and_prefix);
        g_test_add_func("/choice/what-is-not-clear-is-refused", test_what_is_not_clear_is_refused);
        g_test_add_func("/choice/many-candidates-are-not-all-named", test_many_candidates_are_not_all_named);
        g_test_add_func("/record/records-as-text", test_records_as_text);
        g_test_add_func("/record/records-that-are-none", test_records_that_are_none);
        g_test_add_func("/address/where-the-bus-is", test_where_the_bus_is);
        g_test_add_func("/progress/a-bar-on-a-terminal", test_a_bar_on_a_terminal);
        g_test_add_func("/progress/lines-without-a-terminal", test_lines_without_a_terminal);
        return g_test_run();
}
