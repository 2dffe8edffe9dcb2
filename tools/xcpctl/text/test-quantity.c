/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "quantity.h"

#include <stdlib.h>
#include <string.h>

#include "contract.h"

static void test_sizes_people_write(void) {
        static const struct {
                const char *text;
                uint64_t bytes;
        } cases[] = {
                { "0", 0 },
                { "512", 512 },
                { "1K", 1024 },
                { "1k", 1024 },
                { "512M", UINT64_C(512) << 20 },
                { "10G", UINT64_C(10) << 30 },
                { "10GiB", UINT64_C(10) << 30 },
                { "10 GiB", UINT64_C(10) << 30 },
                { "1.5G", UINT64_C(3) << 29 },
                { "0.5K", 512 },
                { "3B", 3 },
                { "15E", UINT64_C(15) << 60 },
                { "18446744073709551615", UINT64_MAX },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                uint64_t bytes;

                g_assert_true(quantity_parse_size(cases[i].text, &bytes, &error));
                g_assert_cmpuint(bytes, ==, cases[i].bytes);
        }
}

static void test_what_is_no_size_is_refused(void) {
        static const char *const cases[] = { "",     "G",     "-1",   "+1",  " 1",  "1GB", "1gib", "1Gi",  "1.G", "1e3", "1.5e3",
                                             "0x10", "16E", "18446744073709551616", "18014398509481984K", "1X", "1 G B", "inf", "nan", "15.99999999999999999E" };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                uint64_t bytes;

                g_test_message("'%s'", cases[i]);
                g_assert_false(quantity_parse_size(cases[i], &bytes, &error));
                g_assert_nonnull(strstr(error->message, cases[i]));
        }
}

static void test_durations(void) {
        static const struct {
                const char *text;
                uint64_t ms;
        } cases[] = { { "0", 0 }, { "30", 30000 }, { "30s", 30000 }, { "500ms", 500 }, { "1.5s", 1500 }, { "2m", 120000 }, { "1h", 3600000 } };
        static const char *const bad[] = { "", "s", "-1", "5 parsecs", "1d", "18446744073709551615" };
        uint64_t ms;

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_assert_true(quantity_parse_duration(cases[i].text, &ms, NULL));
                g_assert_cmpuint(ms, ==, cases[i].ms);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_false(quantity_parse_duration(bad[i], &ms, NULL));
}

static void test_numbers_have_a_limit(void) {
        g_autoptr(GError) error = NULL;
        uint64_t number;

        g_assert_true(quantity_parse_number("4294967295", UINT32_MAX, &number, NULL));
        g_assert_false(quantity_parse_number("4294967296", UINT32_MAX, &number, &error));
        g_assert_nonnull(strstr(error->message, "4294967295"));
        g_assert_false(quantity_parse_number("-1", UINT32_MAX, &number, NULL));
        g_assert_false(quantity_parse_number("1 ", UINT32_MAX, &number, NULL));
}

static void check(enum quantity_unit unit, uint64_t number, const char *expected) {
        g_autofree char *text = quantity_format(unit, number);

        g_assert_cmpstr(text, ==, expected);
}

static void test_sizes_people_read(void) {
        check(QUANTITY_SIZE, 0, "0 B");
        check(QUANTITY_SIZE, 1023, "1023 B");
        check(QUANTITY_SIZE, 1024, "1 KiB");
        check(QUANTITY_SIZE, 1536, "1.5 KiB");
        check(QUANTITY_SIZE, 1048575, "1 MiB");
        check(QUANTITY_SIZE, UINT64_C(3) << 29, "1.5 GiB");
        check(QUANTITY_SIZE, UINT64_MAX, "16 EiB");
        check(QUANTITY_PLAIN, UINT64_MAX, "18446744073709551615");
}

static void test_durations_people_read(void) {
        check(QUANTITY_DURATION_US, 0, "0 s");
        check(QUANTITY_DURATION_US, 999, "999 us");
        check(QUANTITY_DURATION_US, 300000, "300 ms");
        check(QUANTITY_DURATION_US, 2500000, "2.5 s");
        check(QUANTITY_DURATION_US, 59999999, "59 s");
        check(QUANTITY_DURATION_US, UINT64_C(302) * 1000000, "5 min 2 s");
        check(QUANTITY_DURATION_US, UINT64_C(11040) * 1000000, "3 h 4 min");
        check(QUANTITY_DURATION_US, UINT64_C(86400) * 1000000, "1 d");
        check(QUANTITY_DURATION_MS, 1500, "1.5 s");
        check(QUANTITY_DURATION_MS, UINT64_MAX, "18446744073709551615 ms");
}

static void test_times_are_local(void) {
        check(QUANTITY_TIME_US, 0, "-");
        check(QUANTITY_TIME_US, UINT64_C(1795239207470173), "2026-11-21 05:33:27");
}

static void test_names_tell_units(void) {
        g_assert_cmpint(quantity_unit_of("Size"), ==, QUANTITY_SIZE);
        g_assert_cmpint(quantity_unit_of("sent_bytes"), ==, QUANTITY_SIZE);
        g_assert_cmpint(quantity_unit_of("us.org.xen.xcp.storage1.SR.Scan"), ==, QUANTITY_DURATION_US);
        g_assert_cmpint(quantity_unit_of("uptime_us"), ==, QUANTITY_DURATION_US);
        g_assert_cmpint(quantity_unit_of("CancelWithinMs"), ==, QUANTITY_DURATION_MS);
        g_assert_cmpint(quantity_unit_of("CreatedUs"), ==, QUANTITY_TIME_US);
        g_assert_cmpint(quantity_unit_of("Vcpus"), ==, QUANTITY_PLAIN);
}

static void check_times(const struct contract_value *values) {
        for (; values && values->name; values++)
                if (values->doc && strstr(values->doc, "since 1970")) {
                        g_test_message("%s", values->name);
                        g_assert_cmpint(quantity_unit_of(values->name), ==, QUANTITY_TIME_US);
                }
}

static void test_all_times_of_the_contract_are_shown_as_such(void) {
        for (const struct contract_type *type = contract_types; type->name; type++)
                check_times(type->members);
        for (const struct contract_interface *interface = contract_interfaces; interface->name; interface++)
                check_times(interface->properties);
}

int main(int argc, char **argv) {
        setenv("TZ", "UTC", 1);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/quantity/sizes-people-write", test_sizes_people_write);
        g_test_add_func("/quantity/what-is-no-size-is-refused", test_what_is_no_size_is_refused);
        g_test_add_func("/quantity/durations", test_durations);
        g_test_add_func("/quantity/numbers-have-a-limit", test_numbers_have_a_limit);
        g_test_add_func("/quantity/sizes-people-read", test_sizes_people_read);
        g_test_add_func("/quantity/durations-people-read", test_durations_people_read);
        g_test_add_func("/quantity/times-are-local", test_times_are_local);
        g_test_add_func("/quantity/names-tell-units", test_names_tell_units);
        g_test_add_func("/quantity/all-times-of-the-contract-are-shown-as-such", test_all_times_of_the_contract_are_shown_as_such);
        return g_test_run();
}
