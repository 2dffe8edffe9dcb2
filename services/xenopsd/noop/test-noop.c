/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The pure parts of noop guests: options, what happens when, records, and the login. tests/integration/test-xenopsd.py has the rest. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "login.h"
#include "record.h"

#define ENTRIES(...) ((const struct xcp_dict_s_s_entry[]) { __VA_ARGS__ }), \
        sizeof((const struct xcp_dict_s_s_entry[]) { __VA_ARGS__ }) / sizeof(struct xcp_dict_s_s_entry)

static void test_options(void) {
        struct noop_options options;

        g_assert_cmpint(noop_options_read(&options, ENTRIES({ "boot-ms", "10" }, { "start", "fail" }, { "plug", "stuck" },
                                                            { "suspend", "7" }, { "shutdown", "slow" }), NULL), ==, 0);
        g_assert_cmpuint(options.boot_ms, ==, 10);
        g_assert_cmpuint(options.address_ms, ==, 10);
        g_assert_cmpint(options.verbs[NOOP_START].way, ==, NOOP_FAIL);
        g_assert_cmpint(options.verbs[NOOP_PLUG].way, ==, NOOP_STUCK);
        g_assert_cmpuint(options.verbs[NOOP_SUSPEND].ms, ==, 7);
        g_assert_cmpuint(options.shutdown_ms, ==, NOOP_SHUTDOWN_SLOW_MS);
        g_assert_cmpint(noop_options_read(&options, ENTRIES({ "address-after-ms", "never" }), NULL), ==, 0);
        g_assert_cmpuint(options.address_ms, ==, NOOP_NEVER);
        for (const char *const *p = (const char *const[]) { "", "-1", "1x", " 1", "86400001", "99999999999999999999", "never", NULL };
             *p; p++)
                g_assert_cmpint(noop_options_read(&options, ENTRIES({ "crash-after-ms", *p }), NULL), ==, -EINVAL);
        g_assert_cmpint(noop_options_read(&options, ENTRIES({ "unheard-of", "1" }), NULL), ==, -EINVAL);
}

static void test_every_option_has_a_sentence(void) {
        for (const struct hypervisor_option *option = noop_option_list; option->name; option++) {
                struct noop_options options;
                const char *value = strcmp(option->name, "shutdown") == 0 ? "clean" : "1";

                g_assert_cmpint(noop_options_read(&options, ENTRIES({ option->name, value }), NULL), ==, 0);
                g_assert_true(g_str_has_suffix(option->about, "."));
        }
}

static void test_moments(void) {
        struct noop_options options;
        uint64_t next;

        noop_options_read(&options, ENTRIES({ "boot-ms", "5" }, { "crash-after-ms", "20" }, { "disk-failure-after-ms", "10" }), NULL);
        g_assert_cmpint(noop_options_event(&options, 0, false, &next), ==, HYPERVISOR_NO_EVENT);
        g_assert_cmpuint(next, ==, 5000);
        g_assert_cmpint(noop_options_event(&options, 5000, false, &next), ==, HYPERVISOR_NO_EVENT);
        g_assert_cmpuint(next, ==, 10000);
        g_assert_cmpint(noop_options_event(&options, 10000, false, &next), ==, HYPERVISOR_DISK_FAILED);
        g_assert_cmpint(noop_options_event(&options, 99999, false, &next), ==, HYPERVISOR_DISK_FAILED); /* the first counts */
        g_assert_cmpint(noop_options_event(&options, 10000, true, &next), ==, HYPERVISOR_NO_EVENT);
        g_assert_cmpuint(next, ==, 20000);
        g_assert_cmpint(noop_options_event(&options, 20000, true, &next), ==, HYPERVISOR_PANICKED);
        g_assert_cmpuint(next, ==, UINT64_MAX);
}

static void make_record(struct record *record) {
        const struct xcp_disk_spec disk = { .name = "disk0" };
        const struct xcp_network_interface_spec network = { .name = "net0", .network = "user", .mac = "00:16:3e:01:02:03",
                                                            .carrier = true };
        const struct xcp_vm_spec spec = { .name = "one", .memory = 7, .vcpus = 2, .disks = &disk, .n_disks = 1,
                                          .network_interfaces = &network, .n_network_interfaces = 1,
                                          .backend_options = ENTRIES({ "boot-ms", "10" }) };

        g_assert_cmpint(record_init(record, &spec, NULL), ==, 0);
}

static void test_record(void) {
        g_autofree char *dir = g_dir_make_tmp("noop-XXXXXX", NULL), *path = g_build_filename(dir, "guest", NULL);
        struct record record, back;

        make_record(&record);
        record.state = HYPERVISOR_RUNNING;
        record.ran_usec = 1000;
        record.resumed_usec = 5000;
        g_assert_cmpuint(record_ran_usec(&record, 6000), ==, 2000);
        g_assert_cmpint(record_load(&back, "boot-1", path), ==, -ENOENT);
        g_assert_cmpint(record_save(&record, "boot-1", path), ==, 0);
        g_assert_cmpint(record_load(&back, "boot-2", path), ==, -ESTALE);
        g_assert_cmpint(record_load(&back, "boot-1", path), ==, 0);
        g_assert_cmpint(back.state, ==, HYPERVISOR_RUNNING);
        g_assert_cmpuint(record_ran_usec(&back, 6000), ==, 2000);
        g_assert_cmpuint(back.memory, ==, 7);
        g_assert_cmpuint(back.options.boot_ms, ==, 10);
        g_assert_cmpuint(back.n_devices, ==, 2);
        g_assert_true(record_find_device(&back, false, "net0")->user_network);
        g_assert_cmpuint(record_find_device(&back, false, "net0")->mac[5], ==, 3);
        g_assert_null(record_find_device(&back, true, "net0"));
        record_done(&record);
        record_done(&back);
        g_unlink(path);
        g_rmdir(dir);
}

/* Whatever part of a record is missing or changed, it is read or refused, and nothing else. */
static void test_damaged(void) {
        struct record record, back;
        char *text;
        size_t n;

        make_record(&record);
        g_assert_cmpint(record_print(&record, "b", &text), ==, 0);
        n = strlen(text);
        for (size_t i = 0; i < n; i++) {
                g_autofree char *shorter = g_strndup(text, i), *other = g_strdup(text);

                if (i < n - 1)
                        g_assert_cmpint(record_parse(&back, shorter, NULL), <, 0);
                for (const char *p = "\n 9-x"; *p; p++) {
                        other[i] = *p;
                        if (record_parse(&back, other, NULL) == 0)
                                record_done(&back);
                }
        }
        free(text);
        record_done(&record);
}

static void to_string(void *userdata, const char *data, size_t size) {
        g_string_append_len(userdata, data, (gssize) size);
}

static enum hypervisor_event type(struct login *login, GString *said, const char *text) {
        g_string_truncate(said, 0);
        return login_input(login, "box", text, strlen(text), to_string, said);
}

static void test_login(void) {
        g_autoptr(GString) said = g_string_new(NULL);
        struct login login;

        login_boot(&login, "box", to_string, said);
        login_prompt(&login, "box", to_string, said);
        g_assert_cmpstr(said->str, ==, "noop: booting box\r\nnoop: up\r\n\r\nbox login: ");
        g_assert_cmpint(type(&login, said, "mx\be\r\n"), ==, HYPERVISOR_NO_EVENT);
        g_assert_cmpstr(said->str, ==, "mx\b \be\r\nWelcome, me\r\n$ ");
        type(&login, said, "\n");
        g_assert_cmpstr(said->str, ==, "\r\n$ ");
        g_assert_cmpint(type(&login, said, "reboot\r"), ==, HYPERVISOR_REBOOTED);
        g_assert_cmpint(type(&login, said, "poweroff\r"), ==, HYPERVISOR_POWERED_OFF);
        type(&login, said, "exit\r");
        g_assert_true(g_str_has_suffix(said->str, "box login: "));
}

static void test_login_long_line(void) {
        g_autoptr(GString) said = g_string_new(NULL);
        g_autofree char *line = g_strnfill(100000, 'z');
        struct login login = { .logged_in = true };

        type(&login, said, line);
        g_assert_cmpuint(said->len, ==, LOGIN_LINE_MAX - 1);
        g_assert_cmpint(type(&login, said, "\r"), ==, HYPERVISOR_NO_EVENT);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/noop/options", test_options);
        g_test_add_func("/noop/every-option-is-known-and-has-a-sentence", test_every_option_has_a_sentence);
        g_test_add_func("/noop/what-happens-when", test_moments);
        g_test_add_func("/noop/records-survive", test_record);
        g_test_add_func("/noop/damaged-records", test_damaged);
        g_test_add_func("/noop/login", test_login);
        g_test_add_func("/noop/a-line-is-bounded", test_login_long_line);
        return g_test_run();
}
