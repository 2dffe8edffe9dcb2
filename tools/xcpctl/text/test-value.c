/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Values as text, as JSON, and from text; and signals, which consist of them. */

#include <fcntl.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>

#include "signal-text.h"
#include "value.h"

static GVariant *value(const char *text) {
        g_autoptr(GError) error = NULL;
        GVariant *parsed = g_variant_parse(NULL, text, NULL, NULL, &error);

        g_assert_no_error(error);
        return parsed;
}

static void check_text(const char *text, const char *type, const char *name, const char *expected) {
        g_autoptr(GVariant) parsed = value(text);
        g_autofree char *shown = value_text(parsed, type, name);

        g_assert_cmpstr(shown, ==, expected);
}

static void test_text_of_each_type(void) {
        check_text("true", NULL, NULL, "yes");
        check_text("byte 0x07", NULL, NULL, "7");
        check_text("int16 -7", NULL, NULL, "-7");
        check_text("uint16 7", NULL, NULL, "7");
        check_text("-7", NULL, NULL, "-7");
        check_text("uint32 7", NULL, NULL, "7");
        check_text("int64 -9223372036854775808", NULL, NULL, "-9223372036854775808");
        check_text("uint64 18446744073709551615", NULL, NULL, "18446744073709551615");
        check_text("0.5", NULL, NULL, "0.5");
        check_text("'text'", NULL, NULL, "text");
        check_text("objectpath '/a'", NULL, NULL, "/a");
        check_text("signature 'as'", NULL, NULL, "as");
        check_text("handle 3", NULL, NULL, "descriptor 3");
        check_text("<<5>>", NULL, NULL, "5");
        check_text("['a', 'b']", NULL, NULL, "a, b");
        check_text("@as []", NULL, NULL, "");
        check_text("('a', 5)", NULL, NULL, "a 5");
        check_text("{'k': 'v', 'l': ''}", NULL, NULL, "k=v, l=");
        check_text("[('10.0.0.1', 'aa')]", NULL, NULL, "(10.0.0.1 aa)");
}

static void test_names_give_units(void) {
        check_text("uint64 1610612736", NULL, "Memory", "1.5 GiB");
        check_text("uint32 1500", NULL, "CancelWithinMs", "1.5 s");
        check_text("{'free': <uint64 1024>, 'n': <uint64 1024>}", "[SRSpace]", NULL, "free=1 KiB, n=1024");
        check_text("('/a', 'u', 'n', uint64 1024)", "[VDISummary]", NULL, "/a u n 1 KiB");
}

static void check_json(const char *text, const char *type, const char *expected) {
        g_autoptr(GVariant) parsed = value(text);
        struct json_object *json = value_json(parsed, type);

        g_assert_cmpstr(json_object_to_json_string_ext(json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), ==, expected);
        json_object_put(json);
}

static void test_json_of_each_type(void) {
        check_json("true", NULL, "true");
        check_json("uint64 18446744073709551615", NULL, "18446744073709551615");
        check_json("int64 -9223372036854775808", NULL, "-9223372036854775808");
        check_json("0.1", NULL, "0.1");
        check_json("@d inf", NULL, "null");
        check_json("'a\"b\\n\\u001b'", NULL, "\"a\\\"b\\n\\u001b\"");
        check_json("handle 0", NULL, "null");
        check_json("<<[1, 2]>>", NULL, "[1,2]");
        check_json("{'k': <'v'>}", NULL, "{\"k\":\"v\"}");
        check_json("{uint32 5: 'v'}", NULL, "{\"5\":\"v\"}");
        check_json("('a', 5)", NULL, "[\"a\",5]");
        check_json("@a{sv} {}", NULL, "{}");
}

static void test_json_has_the_names_of_the_contract(void) {
        check_json("[('10.0.0.1', 'aa', 'Agent')]", "a[GuestAddress]", "[{\"address\":\"10.0.0.1\",\"mac\":\"aa\",\"source\":\"Agent\"}]");
        check_json("{'disks': <[{'vdi': <objectpath '/d'>}]>}", "[VmSpec]", "{\"disks\":[{\"vdi\":\"/d\"}]}");
        check_json("[('directory', 'd', ['clone'], {'path': 'where'})]", "a[DriverInfo]",
                   "[{\"name\":\"directory\",\"description\":\"d\",\"features\":[\"clone\"],\"options\":{\"path\":\"where\"}}]");
}

static void check_parsed(const char *type, const char *text, const char *expected) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) parsed = value_parse(text, G_VARIANT_TYPE(type), NULL, &error);
        g_autofree char *printed = NULL;

        g_assert_no_error(error);
        printed = g_variant_print(parsed, TRUE);
        g_assert_cmpstr(printed, ==, expected);
}

static void test_what_people_write(void) {
        check_parsed("s", "say \"text\"", "'say \"text\"'");
        check_parsed("s", "", "''");
        check_parsed("o", "/a/b", "objectpath '/a/b'");
        check_parsed("u", "5", "uint32 5");
        check_parsed("i", "-5", "-5");
        check_parsed("t", "1GiB", "uint64 1073741824");
        check_parsed("b", "yes", "true");
        check_parsed("d", "0.5", "0.5");
        check_parsed("as", "['a', 'b']", "['a', 'b']");
        check_parsed("a{sv}", "{'k': <uint32 5>}", "{'k': <uint32 5>}");
        check_parsed("v", "<5>", "<5>");
        check_parsed("(su)", "('a', 1)", "('a', uint32 1)");
}

static void test_what_does_not_fit_is_refused(void) {
        static const char *const cases[][2] = { { "u", "-1" }, { "u", "4294967296" }, { "y", "256" }, { "b", "maybe" }, { "o", "a" }, { "o", "/a/" },
                                                { "t", "-1" }, { "as", "a" }, { "u", "" }, { "h", "file" }, { "s", "\377" }, { "(su)", "('a',)" } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(value_parse(cases[i][1], G_VARIANT_TYPE(cases[i][0]), NULL, &error));
                g_assert_nonnull(strstr(error->message, cases[i][0]));
        }
}

static void test_descriptors(void) {
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) first = value_parse("@/dev/null", G_VARIANT_TYPE_HANDLE, fds, &error);
        g_autoptr(GVariant) second = value_parse("@>/dev/null", G_VARIANT_TYPE_HANDLE, fds, &error);
        int fd;

        g_assert_no_error(error);
        g_assert_cmpint(g_variant_get_handle(first), ==, 0);
        g_assert_cmpint(g_variant_get_handle(second), ==, 1);
        fd = g_unix_fd_list_get(fds, 1, NULL);
        g_assert_cmpint(fcntl(fd, F_GETFL) & O_ACCMODE, ==, O_WRONLY);
        close(fd);
        g_assert_null(value_parse("@/no/such/file", G_VARIANT_TYPE_HANDLE, fds, &error));
        g_assert_nonnull(strstr(error->message, "/no/such/file"));
}

static void check_signal(const char *interface, const char *name, const char *arguments, const char *text, const char *json) {
        g_autoptr(GVariant) parsed = value(arguments);
        const struct signal_event event = { "org.xen.xcp.storage", "/p", interface, name, parsed };
        g_autofree char *shown = signal_text(&event);
        struct json_object *object = signal_json(&event), *inner;

        g_assert_cmpstr(shown, ==, text);
        g_assert_true(json_object_object_get_ex(object, "arguments", &inner));
        g_assert_cmpstr(json_object_to_json_string_ext(inner, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), ==, json);
        json_object_put(object);
}

static void test_signals(void) {
        check_signal("org.freedesktop.DBus.Properties", "PropertiesChanged", "('org.xen.xcp.storage1.VDI', {'Size': <uint64 1024>}, ['Labels'])",
                     "Size=1 KiB, Labels has changed",
                     "{\"interface\":\"org.xen.xcp.storage1.VDI\",\"changed\":{\"Size\":1024},\"invalidated\":[\"Labels\"]}");
        check_signal("org.freedesktop.DBus.ObjectManager", "InterfacesAdded",
                     "(objectpath '/v', {'org.xen.xcp.storage1.VDI': {'Name': <'a'>}, 'org.freedesktop.DBus.Peer': {}})", "added /v VDI",
                     "{\"object\":\"/v\",\"interfaces\":{\"org.xen.xcp.storage1.VDI\":{\"Name\":\"a\"},\"org.freedesktop.DBus.Peer\":{}}}");
        check_signal("org.freedesktop.DBus.ObjectManager", "InterfacesRemoved", "(objectpath '/v', ['x.y'])", "removed /v",
                     "{\"object\":\"/v\",\"interfaces\":[\"x.y\"]}");
        check_signal("org.xen.xcp.xenopsd1.VM", "StateChanged", "('Halted', 'Running', 'Requested')",
                     "StateChanged old=Halted new=Running reason=Requested",
                     "{\"old\":\"Halted\",\"new\":\"Running\",\"reason\":\"Requested\"}");
        check_signal("org.freedesktop.DBus", "NameOwnerChanged", "('org.xen.xcp.storage', ':1.5', ':1.9')", "has moved from :1.5 to :1.9",
                     "{\"name\":\"org.xen.xcp.storage\",\"old_owner\":\":1.5\",\"new_owner\":\":1.9\"}");
        check_signal("org.freedesktop.DBus", "NameOwnerChanged", "('org.xen.xcp.storage', ':1.5', '')", "has left the bus, where it was :1.5",
                     "{\"name\":\"org.xen.xcp.storage\",\"old_owner\":\":1.5\",\"new_owner\":\"\"}");
        check_signal("a.b", "Other", "('x', 5)", "Other 0=x 1=5", "[\"x\",5]");
        check_signal("org.xen.xcp.xenopsd1.VM", "StateChanged", "('a', 'b', 'c', 'd')", "StateChanged old=a new=b reason=c 3=d",
                     "{\"old\":\"a\",\"new\":\"b\",\"reason\":\"c\"}");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/value/text-of-each-type", test_text_of_each_type);
        g_test_add_func("/value/names-give-units", test_names_give_units);
        g_test_add_func("/value/json-of-each-type", test_json_of_each_type);
        g_test_add_func("/value/json-has-the-names-of-the-contract", test_json_has_the_names_of_the_contract);
        g_test_add_func("/value/what-people-write", test_what_people_write);
        g_test_add_func("/value/what-does-not-fit-is-refused", test_what_does_not_fit_is_refused);
        g_test_add_func("/value/descriptors", test_descriptors);
        g_test_add_func("/value/signals", test_signals);
        return g_test_run();
}
