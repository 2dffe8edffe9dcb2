/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checksums and names of images in registries: what is taken, and what is not. */

#include <errno.h>

#include <glib.h>

#include "fetch.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check(const char *source, const char *host, const char *repository, const char *reference) {
        struct oci_reference parsed;
        const char *reason = "";

        g_assert_cmpint(oci_parse(source, &parsed, &reason), ==, 0);
        g_assert_cmpstr(parsed.host, ==, host);
        g_assert_cmpstr(parsed.repository, ==, repository);
        g_assert_cmpstr(parsed.reference, ==, reference);
        g_assert_cmpint(parsed.plain_http, ==, g_str_has_prefix(source, "oci+http:"));
}

static void test_names(void) {
        check("oci://registry.example/debian", "registry.example", "debian", "latest");
        check("oci://registry.example/vm/debian:12", "registry.example", "vm/debian", "12");
        check("oci+http://127.0.0.1:5000/a/b_c.d-e:v1.2-x", "127.0.0.1:5000", "a/b_c.d-e", "v1.2-x");
        check("oci://[::1]:5000/debian", "[::1]:5000", "debian", "latest");
        check("oci://h/d@sha256:" HEX, "h", "d", "sha256:" HEX);
        check("oci://h/d:12@sha256:" HEX, "h", "d", "sha256:" HEX);
}

static void test_names_that_are_none(void) {
        const char *const bad[] = {
                "https://h/d", "oci://", "oci://h", "oci:///d", "oci://h/", "oci://h/Debian", "oci://h/a//b", "oci://h/../x", "oci://h/-a", "oci://h/a-",
                "oci://h/d:", "oci://h/d:.x", "oci://h/d:a/b", "oci://h/d@", "oci://h/d@sha256:12", "oci://h/d@sha512:" HEX HEX, "oci://h b/d",
                "oci://user@h/d",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                struct oci_reference parsed;
                const char *reason = NULL;

                g_assert_cmpint(oci_parse(bad[i], &parsed, &reason), ==, -EINVAL);
                g_assert_nonnull(reason);
        }
}

static void test_a_name_that_is_too_long(void) {
        g_autofree char *many = g_strnfill(300, 'a'), *host = g_strdup_printf("oci://%s/d", many), *repository = g_strdup_printf("oci://h/%s", many),
                        *tag = g_strdup_printf("oci://h/d:%.129s", many), *good = g_strdup_printf("oci://h/d:%.128s", many);
        struct oci_reference parsed;
        const char *reason;

        g_assert_cmpint(oci_parse(host, &parsed, &reason), ==, -EINVAL);
        g_assert_cmpint(oci_parse(repository, &parsed, &reason), ==, -EINVAL);
        g_assert_cmpint(oci_parse(tag, &parsed, &reason), ==, -EINVAL);
        g_assert_cmpint(oci_parse(good, &parsed, &reason), ==, 0);
}

static void test_checksums(void) {
        struct checksum checksum;

        g_assert_cmpint(checksum_parse("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", &checksum), ==, 0);
        g_assert_cmpstr(checksum.algorithm, ==, "sha256");
        g_assert_cmpstr(checksum.hex, ==, HEX);
        g_assert_cmpint(checksum_parse("sha512:" HEX HEX, &checksum), ==, 0);
        g_assert_cmpint(checksum_parse("sha512:" HEX, &checksum), ==, -EINVAL);
        g_assert_cmpint(checksum_parse("sha256:" HEX HEX, &checksum), ==, -EINVAL);
        g_assert_cmpint(checksum_parse("md5:0123456789abcdef0123456789abcdef", &checksum), ==, -EINVAL);
        g_assert_cmpint(checksum_parse("sha256:" HEX "x", &checksum), ==, -EINVAL);
        g_assert_cmpint(checksum_parse(HEX, &checksum), ==, -EINVAL);
        g_assert_cmpint(checksum_parse("", &checksum), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/reference/names", test_names);
        g_test_add_func("/reference/names-that-are-none", test_names_that_are_none);
        g_test_add_func("/reference/a-name-that-is-too-long", test_a_name_that_is_too_long);
        g_test_add_func("/reference/checksums", test_checksums);
        return g_test_run();
}
