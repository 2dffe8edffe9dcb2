/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <limits.h>
#include <string.h>

#include <glib.h>

#include "spec.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static const struct spec_defaults defaults = { .backend = "noop" };

static struct xcp_vm_spec plain(void) {
        return (struct xcp_vm_spec) { .name = "one", .description = "", .memory = SPEC_MEMORY_UNIT, .vcpus = 1,
                                      .kind = XCP_VM_KIND_AUTO, .firmware = XCP_FIRMWARE_BIOS };
}

static void test_completed(void) {
        const struct xcp_disk_spec disks[] = {
                { .kind = XCP_DISK_KIND_CD_ROM, .mode = XCP_DISK_MODE_READ_WRITE },
                { .kind = XCP_DISK_KIND_DISK, .mode = XCP_DISK_MODE_READ_WRITE, .name = "disk0", .path = "/a" },
                { .kind = XCP_DISK_KIND_DISK, .mode = XCP_DISK_MODE_READ_WRITE, .vdi = SPEC_VDI_PREFIX "a" },
        };
        const struct xcp_network_interface_spec networks[] = { { .network = "br0" }, { .network = "user", .mac = "00:16:3E:00:00:0A" },
                                                               { .network = "br0", .name = "net1" } };
        struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_vm_spec spec = plain(), complete;

        spec.uuid = "01234567-89AB-CDEF-0123-456789ABCDEF";
        spec.disks = disks;
        spec.n_disks = G_N_ELEMENTS(disks);
        spec.network_interfaces = networks;
        spec.n_network_interfaces = G_N_ELEMENTS(networks);
        g_assert_cmpint(spec_complete(&spec, &defaults, &arena, &complete, NULL), ==, 0);
        g_assert_cmpstr(complete.uuid, ==, UUID);
        g_assert_cmpstr(complete.backend, ==, "noop");
        g_assert_cmpstr(complete.disks[0].name, ==, "disk1");   /* disk0 is taken, though it comes later */
        g_assert_cmpint(complete.disks[0].mode, ==, XCP_DISK_MODE_READ_ONLY);
        g_assert_cmpstr(complete.disks[1].name, ==, "disk0");
        g_assert_cmpstr(complete.disks[2].name, ==, "disk2");
        g_assert_cmpstr(complete.network_interfaces[0].name, ==, "net0");
        g_assert_cmpstr(complete.network_interfaces[1].name, ==, "net2");
        g_assert_cmpstr(complete.network_interfaces[1].mac, ==, "00:16:3e:00:00:0a");
        g_assert_true(g_str_has_prefix(complete.network_interfaces[0].mac, "00:16:3e:"));
        g_assert_cmpstr(complete.network_interfaces[0].mac, !=, complete.network_interfaces[2].mac);
        idl_arena_done(&arena);
}

static void assert_refused(const struct xcp_vm_spec *spec, const char *error_name, const char *word) {
        struct idl_arena arena = IDL_ARENA_NULL;
        struct idl_error error = IDL_ERROR_NULL;
        struct xcp_vm_spec complete;

        g_assert_cmpint(spec_complete(spec, &defaults, &arena, &complete, &error), <, 0);
        g_assert_cmpstr(error.name, ==, error_name);
        g_assert_nonnull(strstr(error.message, word));
        idl_error_done(&error);
        idl_arena_done(&arena);
}

#define REFUSED(error, word, ...) \
        do { \
                struct xcp_vm_spec spec = plain(); \
                __VA_ARGS__; \
                assert_refused(&spec, IDL_ERROR_##error, word); \
        } while (0)

/* Both sides of each bound; test-xenopsd.py has the rest. */
static void test_bounds(void) {
        char name[SPEC_NAME_MAX + 2], description[SPEC_DESCRIPTION_MAX + 2];
        struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_vm_spec largest = plain(), complete;

        memset(name, 'x', sizeof name);
        memset(description, 'x', sizeof description);
        name[SPEC_NAME_MAX + 1] = description[SPEC_DESCRIPTION_MAX + 1] = '\0';
        REFUSED(INVALID_ARGUMENT, "spec.name", spec.name = name);
        REFUSED(INVALID_ARGUMENT, "spec.description", spec.description = description);
        REFUSED(LIMIT_EXCEEDED, "spec.memory", spec.memory = SPEC_MEMORY_MAX + SPEC_MEMORY_UNIT);
        REFUSED(INVALID_ARGUMENT, "spec.memory", spec.memory = SPEC_MEMORY_UNIT + 1);
        REFUSED(LIMIT_EXCEEDED, "spec.vcpus", spec.vcpus = SPEC_VCPUS_MAX + 1);
        REFUSED(LIMIT_EXCEEDED, "spec.autostart_delay_ms", spec.autostart_delay_ms = SPEC_AUTOSTART_DELAY_MAX + 1);
        name[SPEC_NAME_MAX] = description[SPEC_DESCRIPTION_MAX] = '\0';
        largest.name = name;
        largest.description = description;
        largest.memory = SPEC_MEMORY_MAX;
        largest.vcpus = SPEC_VCPUS_MAX;
        largest.autostart_delay_ms = SPEC_AUTOSTART_DELAY_MAX;
        g_assert_cmpint(spec_complete(&largest, &defaults, &arena, &complete, NULL), ==, 0);
        idl_arena_done(&arena);
}

/* Says so of the first ones that are asked for. */
static bool has_mac(void *userdata, const char *mac) {
        unsigned *n_taken = userdata;

        return *n_taken > 0 && (*n_taken)--;
}

static void test_static_addresses(void) {
        static const char *good[] = { "10.0.0.1", "2001:db8::1" }, *bad[] = { "10.0.0.1", "10.0.0.1/24" }, *many[SPEC_ADDRESSES_MAX + 1];
        struct xcp_network_interface_spec network = { .network = "br0", .addresses = good, .n_addresses = G_N_ELEMENTS(good) };
        struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_vm_spec spec = plain(), complete;

        spec.network_interfaces = &network;
        spec.n_network_interfaces = 1;
        g_assert_cmpint(spec_complete(&spec, &defaults, &arena, &complete, NULL), ==, 0);
        g_assert_cmpuint(complete.network_interfaces[0].n_addresses, ==, 2);
        idl_arena_done(&arena);
        network.addresses = bad;
        assert_refused(&spec, IDL_ERROR_INVALID_ARGUMENT, "spec.network_interfaces[0].addresses[1]");
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                many[i] = "10.0.0.1";
        network.addresses = many;
        network.n_addresses = G_N_ELEMENTS(many);
        assert_refused(&spec, IDL_ERROR_LIMIT_EXCEEDED, "addresses");
}

static void test_macs_of_others(void) {
        const struct xcp_network_interface_spec network = { .network = "br0" };
        struct idl_arena arena = IDL_ARENA_NULL;
        struct idl_error error = IDL_ERROR_NULL;
        struct xcp_vm_spec spec = plain(), complete;
        unsigned n_taken = 20;

        spec.network_interfaces = &network;
        spec.n_network_interfaces = 1;
        g_assert_cmpint(spec_complete(&spec, &(struct spec_defaults) { "noop", has_mac, &n_taken }, &arena, &complete, &error), ==, 0);
        g_assert_cmpuint(n_taken, ==, 0);
        n_taken = UINT_MAX;
        g_assert_cmpint(spec_complete(&spec, &(struct spec_defaults) { "noop", has_mac, &n_taken }, &arena, &complete, &error), <, 0);
        idl_error_done(&error);
        idl_arena_done(&arena);
}

static void test_uuid(void) {
        char uuid[37];

        g_assert_cmpint(spec_uuid(UUID, uuid), ==, 0);
        g_assert_cmpstr(uuid, ==, UUID);
        for (const char *const *p = (const char *const[]) { "", "0", UUID "0", "0123456789abcdef0123456789abcdef",
                                                            "01234567-89ab-cdef-0123-456789abcdeg", "../../../../../../../../../../../../",
                                                            NULL }; *p; p++)
                g_assert_cmpint(spec_uuid(*p, uuid), <, 0);
}

static void test_devices(void) {
        const struct xcp_disk_spec there[] = { { .name = "disk0" } };
        struct idl_arena arena = IDL_ARENA_NULL;
        struct idl_error error = IDL_ERROR_NULL;
        struct xcp_vm_spec spec = plain();
        struct xcp_disk_spec disk = { .kind = XCP_DISK_KIND_DISK, .path = "/a" }, complete;

        spec.disks = there;
        spec.n_disks = 1;
        g_assert_cmpint(spec_complete_disk(&spec, &disk, "spec", &arena, &complete, &error), ==, 0);
        g_assert_cmpstr(complete.name, ==, "disk1");
        disk.has_iops_limit = true;
        g_assert_cmpint(spec_complete_disk(&spec, &disk, "spec", &arena, &complete, &error), ==, -EINVAL);
        idl_error_done(&error);
        disk.iops_limit = SPEC_LIMIT_MAX + 1;
        g_assert_cmpint(spec_complete_disk(&spec, &disk, "spec", &arena, &complete, &error), ==, -EINVAL);
        idl_error_done(&error);
        disk.iops_limit = SPEC_LIMIT_MAX;
        g_assert_cmpint(spec_complete_disk(&spec, &disk, "spec", &arena, &complete, &error), ==, 0);
        disk.name = "disk0";
        g_assert_cmpint(spec_complete_disk(&spec, &disk, "spec", &arena, &complete, &error), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_ALREADY_EXISTS);
        idl_error_done(&error);
        idl_arena_done(&arena);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/spec/static-addresses", test_static_addresses);
        g_test_add_func("/spec/what-is-left-out-is-chosen", test_completed);
        g_test_add_func("/spec/both-sides-of-each-bound", test_bounds);
        g_test_add_func("/spec/addresses-that-others-have", test_macs_of_others);
        g_test_add_func("/spec/uuid", test_uuid);
        g_test_add_func("/spec/devices-that-are-added", test_devices);
        return g_test_run();
}
