/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is behind a disk: NBD URIs, and what QEMU is told of paths. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>
#include <json-c/json.h>

#include "nbd-uri.h"
#include "source.h"

static void assert_uri(const char *text, const char *export, const char *path, const char *host, const char *port) {
        struct nbd_uri uri;

        g_assert_cmpint(nbd_uri_parse(&uri, text), ==, 0);
        g_assert_cmpstr(uri.export, ==, export);
        g_assert_cmpstr(uri.path, ==, path);
        g_assert_cmpstr(uri.host, ==, host);
        g_assert_cmpstr(uri.port, ==, port);
        nbd_uri_done(&uri);
}

static void test_uris(void) {
        assert_uri("nbd+unix:///disk?socket=/run/a,b", "disk", "/run/a,b", NULL, NULL);
        assert_uri("nbd+unix:///?socket=/%61%2fb", "", "/a/b", NULL, NULL);
        assert_uri("nbd://host/disk", "disk", NULL, "host", "10809");
        assert_uri("nbd://host", "", NULL, "host", "10809");
        assert_uri("nbd://10.0.0.1:11/a%20b", "a b", NULL, "10.0.0.1", "11");
        assert_uri("nbd://[::1]:65535/", "", NULL, "::1", "65535");
        assert_uri("nbd://[::1]/x", "x", NULL, "::1", "10809");
}

static void test_bad_uris(void) {
        static const char *const bad[] = {
                "", "nbd:", "nbd+unix://", "nbd+unix:///", "nbd+unix:///x", "nbd+unix:///x?", "nbd+unix:///x?socket=", "nbd+unix:///x?socket=y",
                "nbd+unix:///x?socket=/y&tls=1", "nbd+unix:///x?tls=1", "nbd+unix:///x?socket=/y#z", "nbd+unix:///%?socket=/y",
                "nbd+unix:///%0?socket=/y", "nbd+unix:///%00?socket=/y", "nbd+unix:///x?socket=/%gg", "nbd+unix:///x?socket=/%4", "nbd://",
                "nbd:///x", "nbd://:1/x", "nbd://host:/x", "nbd://host:1a/x", "nbd://host:123456/x", "nbd://[::1/x", "nbd://[]/x",
                "nbd://[::1]x/y", "nbd://host/x?tls=1", "nbds://host/x", "http://host/x",
        };
        g_autofree char *longest = g_strnfill(NBD_URI_MAX + 1, 'x');
        struct nbd_uri uri;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_test_message("%s", bad[i]);
                g_assert_cmpint(nbd_uri_parse(&uri, bad[i]), ==, -EINVAL);
        }
        memcpy(longest, "nbd://", 6);
        g_assert_cmpint(nbd_uri_parse(&uri, longest), ==, -EINVAL);
}

static const struct xcp_disk_spec spec = { .name = "a", .kind = XCP_DISK_KIND_DISK }, drive = { .name = "cd", .kind = XCP_DISK_KIND_CD_ROM };

static void test_limits(void) {
        const struct xcp_disk_spec slow = { .name = "a", .kind = XCP_DISK_KIND_DISK, .has_rate_limit = true, .rate_limit = 1000000,
                                            .has_iops_limit = true, .iops_limit = 50 };
        const struct xcp_data_path file = { .kind = XCP_DATA_PATH_KIND_FILE, .mode = XCP_DISK_MODE_READ_WRITE, .path = (char *) "/f" };
        struct json_object *limits = source_describe_limits(&slow), *node = source_describe_node(&(struct hypervisor_disk) { &slow, &file });
        char name[QEMU_ID_SIZE];
        g_autofree char *expected = NULL;

        source_node("a", name);
        expected = g_strdup_printf("{\"node-name\":\"%s\",\"driver\":\"throttle\",\"throttle-group\":\"limits-a\",\"read-only\":false,"
                                   "\"discard\":\"unmap\",\"file\":{\"driver\":\"raw\",\"read-only\":false,\"discard\":\"unmap\","
                                   "\"file\":{\"driver\":\"file\",\"filename\":\"/f\",\"discard\":\"unmap\"}}}", name);
        g_assert_cmpstr(json_object_to_json_string_ext(node, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), ==, expected);
        g_assert_cmpstr(json_object_to_json_string_ext(limits, JSON_C_TO_STRING_PLAIN), ==,
                        "{\"qom-type\":\"throttle-group\",\"id\":\"limits-a\",\"limits\":{\"bps-total\":1000000,\"iops-total\":50}}");
        json_object_put(node);
        json_object_put(limits);
        g_assert_true(source_has_limits(&slow));
        g_assert_false(source_has_limits(&spec));
}

static void test_nodes(void) {
        const struct xcp_data_path nbd = { .kind = XCP_DATA_PATH_KIND_NBD, .mode = XCP_DISK_MODE_READ_ONLY, .uri = (char *) "nbd://h/e" };
        struct json_object *node = source_describe_node(&(struct hypervisor_disk) { &spec, &nbd }), *file;
        char name[QEMU_ID_SIZE];

        source_node("a", name);
        g_assert_cmpstr(json_object_get_string(json_object_object_get(node, "node-name")), ==, name);
        g_assert_cmpstr(json_object_get_string(json_object_object_get(node, "driver")), ==, "raw");
        g_assert_true(json_object_get_boolean(json_object_object_get(node, "read-only")));
        file = json_object_object_get(node, "file");
        g_assert_cmpstr(json_object_to_json_string_ext(json_object_object_get(file, "server"), JSON_C_TO_STRING_PLAIN), ==,
                        "{\"type\":\"inet\",\"host\":\"h\",\"port\":\"10809\"}");
        g_assert_cmpstr(json_object_get_string(json_object_object_get(file, "export")), ==, "e");
        json_object_put(node);
}

static void test_sockets(void) {
        const struct xcp_data_path path = { .kind = XCP_DATA_PATH_KIND_VHOST_USER, .path = (char *) "/a,b" };
        const struct hypervisor_disk disk = { &spec, &path };
        struct json_object *chardev = source_describe_chardev(&disk);
        g_autofree char *text = source_print_chardev(&disk);

        g_assert_cmpstr(text, ==, "socket,id=vhost-a,path=/a,,b,reconnect=1");
        g_assert_cmpstr(json_object_to_json_string_ext(chardev, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), ==,
                        "{\"id\":\"vhost-a\",\"backend\":{\"type\":\"socket\",\"data\":{\"addr\":{\"type\":\"unix\",\"data\":"
                        "{\"path\":\"/a,b\"}},\"server\":false,\"reconnect\":1}}}");
        json_object_put(chardev);
}

static void test_kinds(void) {
        struct qemu_options options = { .data_path = QEMU_VHOST_USER };

        g_assert_cmpint(source_kinds(&options, &spec, true)[0], ==, XCP_DATA_PATH_KIND_VHOST_USER);
        g_assert_cmpint(source_kinds(&options, &drive, true)[0], ==, XCP_DATA_PATH_KIND_FILE);
        options.data_path = QEMU_NBD;
        g_assert_cmpint(source_kinds(&options, &spec, true)[0], ==, XCP_DATA_PATH_KIND_NBD);
        g_assert_cmpint(source_kinds(&options, &spec, true)[1], ==, 0);
        g_assert_cmpint(source_kinds(&options, &spec, false)[0], ==, XCP_DATA_PATH_KIND_FILE);
}

static void test_checks(void) {
        struct xcp_data_path path = { .kind = XCP_DATA_PATH_KIND_NBD };
        struct idl_error error = IDL_ERROR_NULL;

        g_assert_cmpint(source_check(NULL, &error), ==, 0);
        g_assert_cmpint(source_check(&path, &error), ==, -EINVAL);
        idl_error_done(&error);
        path.uri = (char *) "nbd:x";
        g_assert_cmpint(source_check(&path, &error), ==, -EINVAL);
        idl_error_done(&error);
        path = (struct xcp_data_path) { .kind = XCP_DATA_PATH_KIND_VHOST_USER };
        g_assert_cmpint(source_check(&path, &error), ==, -EINVAL);
        idl_error_done(&error);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/qemu/nbd-uri/good", test_uris);
        g_test_add_func("/qemu/nbd-uri/bad", test_bad_uris);
        g_test_add_func("/qemu/source/nodes", test_nodes);
        g_test_add_func("/qemu/source/limits", test_limits);
        g_test_add_func("/qemu/source/sockets-with-commas-in-their-names", test_sockets);
        g_test_add_func("/qemu/source/which-paths-are-liked", test_kinds);
        g_test_add_func("/qemu/source/paths-that-cannot-be", test_checks);
        return g_test_run();
}
