/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files of VMs: what is read, and what is said, with which line and hint, about what is wrong. */

#include "vm-file.h"

#include <string.h>

#include "document.h"

static const char good[] = "# two VMs\n"
                           "vms:\n"
                           "  web:\n"
                           "    memory: 1.5GiB\n"
                           "    vcpus: 2\n"
                           "    description: \"no: 1\"\n"
                           "    autostart: true\n"
                           "    on_crash: Restart\n"
                           "    labels: { owner: no, since: 0123 }\n"
                           "    disks:\n"
                           "      - { name: root, sr: local, size: 10GiB }\n"
                           "      - data\n"
                           "    network_interfaces: [ user, { network: br0, mac: 02:00:00:00:00:01 } ]\n"
                           "  db:\n";

static char *problems_of_bytes(const char *data, size_t n) {
        struct problems *problems = problems_new("f");
        struct vm_file *file = vm_file_parse(data, n, problems);
        char *told = problems_text(problems);

        vm_file_free(file);
        problems_free(problems);
        return told;
}

static char *problems_of(const char *text) {
        return problems_of_bytes(text, strlen(text));
}

static void check(const char *text, const char *expected) {
        g_autofree char *told = problems_of(text);

        g_assert_cmpstr(told, ==, expected);
}

/* The same of a VM's keys, from line 3 and column 3 on. */
static void check_vm(const char *keys, const char *expected) {
        g_autofree char *text = g_strconcat("vms:\n v:\n  ", keys, "\n", NULL);

        check(text, expected);
}

static void test_what_is_read(void) {
        struct problems *problems = problems_new("f");
        struct vm_file *file = vm_file_parse(good, strlen(good), problems);
        const struct wish *web, *disk;
        const char *text;

        g_assert_true(problems_is_empty(problems));
        g_assert_cmpuint(file->vms->len, ==, 2);
        web = file->vms->pdata[0];
        g_assert_cmpstr(wish_text(web, "name"), ==, "web");
        g_assert_cmpuint(g_variant_get_uint64(wish_get(web, "memory")), ==, UINT64_C(1536) << 20);
        g_assert_true(wish_flag(web, "autostart", false));
        g_assert_cmpuint(wish_place(web, "memory").line, ==, 4);
        g_assert_cmpuint(wish_place(web, "memory").column, ==, 13);
        g_assert_true(g_variant_lookup(wish_get(web, "labels"), "owner", "&s", &text));
        g_assert_cmpstr(text, ==, "no");
        g_assert_true(g_variant_lookup(wish_get(web, "labels"), "since", "&s", &text));
        g_assert_cmpstr(text, ==, "0123");
        disk = web->disks->pdata[0];
        g_assert_cmpstr(wish_text(disk, "name"), ==, "root");
        disk = web->disks->pdata[1];
        g_assert_cmpstr(wish_text(disk, "name"), ==, "disk1");
        g_assert_cmpstr(wish_text(disk, "vdi"), ==, "data");
        g_assert_cmpstr(wish_text(web->nics->pdata[1], "mac"), ==, "02:00:00:00:00:01");
        vm_file_free(file);
        problems_free(problems);
}

static void test_names_that_are_nearly_right_get_a_hint(void) {
        check_vm("memroy: 1GiB", "f:3:3: there is no key 'memroy' here\n    did you mean memory?");
        check_vm("on-crash: Halt", "f:3:3: there is no key 'on-crash' here\n    did you mean on_crash?");
        check_vm("on_crash: restart", "f:3:13: on_crash: there is no 'restart'\n    did you mean Restart?");
        check_vm("on_crash: explode", "f:3:13: on_crash: there is no 'explode'\n    there are: Halt, Restart, Preserve");
        check("vm: {}\n", "f:1:1: there is no key 'vm' here\n    did you mean vms?\nf:1:1: there is no key vms");
}

static void test_values_are_of_their_types(void) {
        check_vm("memory: big", "f:3:11: memory: 'big' is no size\n    as in 512MiB, 1.5GiB, or a number of bytes");
        check_vm("memory: 512", "f:3:11: memory has to be a multiple of 1 MiB, and not 0\n    a number alone is in bytes: 512MiB, for instance");
        check_vm("vcpus: -1", "f:3:10: vcpus has to be a number from 0 to 4294967295, and is '-1'");
        check_vm("vcpus: 0", "f:3:10: vcpus has to be at least 1");
        check_vm("autostart: yes", "f:3:14: autostart has to be true or false, and is 'yes'");
        check_vm("description:", "f:3:15: description has to be a single value, and is nothing");
        check_vm("labels: [ a ]", "f:3:11: labels has to be a mapping, and is a list");
        check_vm("disks: a", "f:3:10: this has to be a list, and is a single value\n    each begins with - on a line of its own");
}

/* Those of the manager and of storage. */
static void test_limits(void) {
        g_autofree char *text = g_strnfill(4097, 'x'), *description = g_strconcat("description: ", text, NULL);
        g_autoptr(GString) disks = g_string_new("disks: [ a0");
        g_autoptr(GString) nics = g_string_new("network_interfaces: [ user");

        check_vm("memory: 16TiB", "");
        check_vm("memory: 8EiB", "f:3:11: memory: 9223372036854775808 bytes is more than there can be\n    16TiB at most");
        check_vm("memory_max: 16777217MiB", "f:3:15: memory_max: 17592187092992 bytes is more than there can be\n    16TiB at most");
        check_vm("memory: 17592186044417", "f:3:11: memory: 17592186044417 bytes is more than there can be\n    16TiB at most");
        check_vm("memory: 2GiB\n  memory_max: 1GiB", "f:4:15: memory_max has to be at least memory");
        check_vm("vcpus: 512", "");
        check_vm("vcpus: 4294967295", "f:3:10: vcpus: 4294967295 is more than there can be\n    512 at most");
        check_vm("vcpus: 2\n  vcpus_max: 1", "f:4:14: vcpus_max has to be at least vcpus");
        check_vm("autostart_delay_ms: 3600001", "f:3:23: autostart_delay_ms: 3600001 is more than there can be\n    3600000 at most");
        check_vm(description, "f:3:16: description has 4097 bytes, and at most 4096 are taken");
        check_vm("disks: [ { size: 65TiB } ]", "f:3:20: size: 71468255805440 bytes is more than there can be\n    64TiB at most");
        check_vm("disks: [ { vdi: a, iops_limit: 0 } ]", "f:3:34: iops_limit has to be at least 1");
        check_vm("network_interfaces: [ { network: n, mtu: 67 } ]", "f:3:44: mtu has to be at least 68");
        check_vm("network_interfaces: [ a/b ]",
                 "f:3:25: 'a/b' is no name of a network: that is 1 to 64 letters, digits, dots, dashes and underscores, and no dash first");
        check_vm("network_interfaces: [ { network: -a }, { network: .. }, user.1 ]",
                 "f:3:36: '-a' is no name of a network: that is 1 to 64 letters, digits, dots, dashes and underscores, and no dash first\n"
                 "f:3:53: '..' is no name of a network: that is 1 to 64 letters, digits, dots, dashes and underscores, and no dash first");
        for (unsigned i = 1; i < 64; i++)
                g_string_append_printf(disks, ",a%u", i);
        for (unsigned i = 1; i < 17; i++)
                g_string_append(nics, ",user");
        g_string_append(disks, "]");
        g_string_append(nics, "]");
        check_vm(disks->str, "");
        g_string_append(disks, "\n  cloud_init: {}");
        check_vm(disks->str, "f:3:254: there are 65 disks with cloud_init's, and at most 64 are taken");
        check_vm(nics->str, "f:3:105: there are 17 network interfaces, and at most 16 are taken");
}

static void test_what_belongs_together(void) {
        check_vm("disks: [ { name: a } ]",
                 "f:3:12: the disk has neither vdi nor path nor size nor image\n    vdi: a disk that there is, path: a file, or size or image: of one that is made");
        check_vm("disks: [ { vdi: a, size: 1GiB } ]", "f:3:12: a disk has one of vdi, path, and size or image");
        check_vm("disks: [ { kind: CdRom } ]", "");
        check_vm("disks: [ { name: a, vdi: x }, { name: a, vdi: y } ]", "f:3:41: there is another 'a' in line 3");
        check_vm("disks: [ x, { vdi: x } ]", "f:3:22: there is another 'x' in line 3");
        check("vms:\n  a: { network_interfaces: [ { network: n, mac: 02:00:00:00:00:0a } ] }\n"
              "  b: { network_interfaces: [ { network: n, mac: 02:00:00:00:00:0A } ] }\n  c: { disks: [ x ] }\n  d: { disks: [ x ] }\n",
              "f:3:49: there is another '02:00:00:00:00:0a' in line 2");
        check_vm("disks: [ { image: x, vdi: y } ]", "f:3:12: a disk has one of vdi, path, and size or image");
        check_vm("disks: [ { image: x, size: 1GiB } ]", "");
        check_vm("disks: [ { size: 1GiB, checksum: x } ]", "f:3:36: checksum is an image's");
        check_vm("disks: [ { image: 'https://h/x', checksum: 'sha256:1' } ]",
                 "f:3:46: 'sha256:1' is no checksum\n    sha256: and 64 hexadecimal digits, or sha512: and 128");
        check_vm("disks: [ { image: x, checksum: 'sha256:1' } ]",
                 "f:3:34: checksum is for an image that is pulled, and 'x' is one that is here\n    image: sha256:... is one that is here by its digest");
        check_vm("image: ./disk.qcow2", "f:3:10: './disk.qcow2' is neither an image that is here nor where to pull one from\n"
                                        "    xcpctl vdi import makes a disk of a file, which vdi: names then");
        check_vm("image: x\n  disks: [ { name: root, size: 1GiB } ]", "f:4:20: there is another 'root' in line 3");
        check_vm("network_interfaces: [ { mtu: 1500 } ]",
                 "f:3:25: the network interface has no network\n    network: user, or the name of a bridge");
        check_vm("kernel: /boot/vmlinuz", "f:3:11: kernel goes with firmware: Kernel\n    add firmware: Kernel");
        check_vm("firmware: Kernel", "f:3:13: firmware: Kernel needs a kernel");
        check("vms:\n  a/b: {}\n",
              "f:2:3: 'a/b' is no name of a VM: that is 1 to 64 letters, digits, dots, dashes and underscores");
}

static void test_names_for_cloud_init(void) {
        static const char *const hosts[] = { "www", "db-1.example.org", "7", "a" }, *const others[] = { "-a", "a-", "a..b", "a.", "a b", "\u00fc", "a_b", "" };

        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
                g_autofree char *text = g_strdup_printf("cloud_init: { hostname: '%s', user: ann_1 }", hosts[i]);

                check_vm(text, "");
        }
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++) {
                g_autofree char *text = g_strdup_printf("cloud_init: { hostname: '%s' }", others[i]);
                g_autofree char *expected = g_strdup_printf("f:3:27: '%s' cannot be what a guest calls itself\n"
                                                            "    letters, digits and dashes, with dots between names, as in www.example.org", others[i]);

                check_vm(text, expected);
        }
        check_vm("cloud_init: { user: 'ann;rm' }", "f:3:23: 'ann;rm' is no name of a user: that is 1 to 32 letters, digits, dashes and underscores, and does "
                                                   "not begin with a dash or digit");
        check_vm("cloud_init: { user: 1st }", "f:3:23: '1st' is no name of a user: that is 1 to 32 letters, digits, dashes and underscores, and does "
                                              "not begin with a dash or digit");
}

static void test_keys_are_public_ones(void) {
        check_vm("cloud_init: { ssh_keys: [ 'ssh-ed25519 AAAAC3Nz ann', 'restrict ecdsa-sha2-nistp256 AAAAE2Vj' ] }", "");
        check_vm("cloud_init: { ssh_keys: [ ~/.ssh/id.pub ] }",
                 "f:3:27: '~/.ssh/id.pub...' is no public key of ssh\n    the line of a .pub file, as in ssh-ed25519 AAAA... ann@home");
        check_vm("cloud_init: { ssh_keys: [ \"-----BEGIN OPENSSH PRIVATE KEY-----\\nssh-rsa AAAA\" ] }",
                 "f:3:27: '-----BEGIN OPENSSH P...' is no public key of ssh\n    the line of a .pub file, as in ssh-ed25519 AAAA... ann@home");
}

static void test_all_problems_are_told_in_the_order_of_the_file(void) {
        g_autofree char *told = problems_of("vms:\n  a:\n    vcpus: x\n    memory: y\n  b:\n    nonsense: 1\n");
        g_auto(GStrv) lines = g_strsplit(told, "\nf:", -1);

        g_assert_cmpuint(g_strv_length(lines), ==, 3);
        g_assert_true(g_str_has_prefix(lines[0], "f:3:12: "));
        g_assert_true(g_str_has_prefix(lines[1], "4:13: "));
        g_assert_true(g_str_has_prefix(lines[2], "6:5: "));
}

static void test_what_surprises_in_yaml_is_refused(void) {
        check("vms:\n  a: &x {}\n", "f:2:6: anchors are not used here");
        check("vms:\n  a: *x\n", "f:2:6: aliases are not used here\n    write what is meant once more, or put a value that begins with * in quotes");
        check("vms:\n  a: !!set {}\n", "f:2:6: tags are not used here: values are of the type that their key needs");
        check("vms: {}\n---\nvms: {}\n", "f:2:1: there has to be one document in a file");
        check("vms:\n  a:\n  a:\n", "f:3:3: 'a' is there already, in line 2");
        check("", "f:1:1: there is nothing in it");
        check("vms:\n\ta: {}\n", "f:2:1: this is no YAML: found character that cannot start any token, while scanning for the next token\n"
                                 "    indent with spaces, not with tabs, and put a value that begins with a special character in quotes");
        check("- a\n", "f:1:1: the file has to be a mapping, and is a list\n    vms: and below it a name and a colon for each VM");
}

static void test_paths_are_the_managers(void) {
        check_vm("disks: [ { path: ~/disk } ]", "f:3:20: path has to begin with /, and is '~/disk'\n"
                                                "    a file of the manager's domain, in full: neither ~ nor $NAME is replaced");
        check_vm("firmware: Kernel\n  kernel: vmlinuz", "f:4:11: kernel has to begin with /, and is 'vmlinuz'\n"
                                                        "    a file of the manager's domain, in full: neither ~ nor $NAME is replaced");
}

static void test_what_is_no_text_is_told_with_its_place(void) {
        g_autofree char *nul = problems_of_bytes("vms:\n  a\0: {}\n", 14), *utf16 = problems_of_bytes("\xff\xfe" "a\0", 4);

        g_assert_cmpstr(nul, ==, "f:2:4: this is no YAML: control characters are not allowed");
        g_assert_cmpstr(utf16, ==, "f:1:1: this is no YAML: invalid leading UTF-8 octet\n    save the file in UTF-8 instead of UTF-16");
        check("vms:\n  \u00e4\377: {}\n", "f:2:4: this is no YAML: invalid leading UTF-8 octet\n    save the file in UTF-8");
        check("\xef\xbb\xbfvms:\r\n  a: { vcpus: 1 }\r\n", "");
}

static void test_depth_and_size_are_bounded(void) {
        g_autofree char *deep = g_strnfill(1000, '['), *large = g_strnfill(DOCUMENT_SIZE_MAX + 1, ' ');

        check(deep, "f:1:17: there are too many levels");
        check(large, "f:1:1: it has more than 1048576 bytes, which are the most that are taken");
}

static void test_problems_beyond_the_limit_are_counted(void) {
        g_autoptr(GString) text = g_string_new("vms:\n  a:\n");
        g_autofree char *told = NULL;

        for (unsigned i = 0; i < PROBLEMS_MAX + 7; i++)
                g_string_append_printf(text, "    nonsense%u: 1\n", i);
        told = problems_of(text->str);
        g_assert_true(g_str_has_suffix(told, "\nf: and 7 more"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vm-file/what-is-read", test_what_is_read);
        g_test_add_func("/vm-file/names-that-are-nearly-right-get-a-hint", test_names_that_are_nearly_right_get_a_hint);
        g_test_add_func("/vm-file/values-are-of-their-types", test_values_are_of_their_types);
        g_test_add_func("/vm-file/limits", test_limits);
        g_test_add_func("/vm-file/what-belongs-together", test_what_belongs_together);
        g_test_add_func("/vm-file/names-for-cloud-init", test_names_for_cloud_init);
        g_test_add_func("/vm-file/keys-are-public-ones", test_keys_are_public_ones);
        g_test_add_func("/vm-file/all-problems-are-told-in-the-order-of-the-file", test_all_problems_are_told_in_the_order_of_the_file);
        g_test_add_func("/vm-file/what-surprises-in-yaml-is-refused", test_what_surprises_in_yaml_is_refused);
        g_test_add_func("/vm-file/paths-are-the-managers", test_paths_are_the_managers);
        g_test_add_func("/vm-file/what-is-no-text-is-told-with-its-place", test_what_is_no_text_is_told_with_its_place);
        g_test_add_func("/vm-file/depth-and-size-are-bounded", test_depth_and_size_are_bounded);
        g_test_add_func("/vm-file/problems-beyond-the-limit-are-counted", test_problems_beyond_the_limit_are_counted);
        return g_test_run();
}
