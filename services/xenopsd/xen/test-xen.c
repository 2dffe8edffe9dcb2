/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What of the Xen backend needs no Xen: configurations of domains, facts, states, addresses. */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib.h>

#include <libxl_utils.h>

#include "addresses.h"
#include "config.h"
#include "firmware.h"
#include "screen.h"
#include "sharing.h"
#include "status.h"
#include "stream-bytes.h"

#define MIB UINT64_C(1048576)
#define UUID "01234567-89ab-cdef-0123-456789abcdef"

static const struct xcp_vm_spec pvh = {
        .name = "one", .uuid = UUID, .memory = 64 * MIB, .has_memory_max = true, .memory_max = 128 * MIB, .vcpus = 1, .has_vcpus_max = true,
        .vcpus_max = 9, .firmware = XCP_FIRMWARE_KERNEL, .kernel = "/k", .initramfs = "/i", .command_line = "quiet",
};

static const struct xcp_data_path file = { .kind = XCP_DATA_PATH_KIND_FILE, .path = "/srv/a.img" };

static void make(libxl_domain_config *ret_config, const struct xcp_vm_spec *spec, const struct hypervisor_disk *disks,
                 struct xen_facts *facts) {
        const struct hypervisor_config config = { .spec = spec, .disks = disks };

        g_assert_cmpint(xen_config_make(ret_config, &config, spec->name, facts, NULL), ==, 0);
}

/* Configurations */

static void test_pvh(void) {
        struct xen_facts facts = {};
        libxl_domain_config config;

        make(&config, &pvh, NULL, &facts);
        g_assert_cmpint(config.c_info.type, ==, LIBXL_DOMAIN_TYPE_PVH);
        g_assert_cmpint(config.b_info.type, ==, LIBXL_DOMAIN_TYPE_PVH);
        g_assert_cmpstr(config.c_info.name, ==, "one");
        g_assert_cmpuint(config.b_info.target_memkb, ==, 64 * 1024);
        g_assert_cmpuint(config.b_info.max_memkb, ==, 128 * 1024);
        g_assert_cmpint(config.b_info.max_vcpus, ==, 9);
        g_assert_cmpint(libxl_bitmap_count_set(&config.b_info.avail_vcpus), ==, 1);
        g_assert_true(libxl_bitmap_test(&config.b_info.avail_vcpus, 0));
        g_assert_cmpstr(config.b_info.kernel, ==, "/k");
        g_assert_cmpstr(config.b_info.ramdisk, ==, "/i");
        g_assert_cmpstr(config.b_info.cmdline, ==, "quiet");
        libxl_domain_config_dispose(&config);
}

/* Xen's device model gets the kernel, and its firmware starts it. */
static void test_kernel_of_hvm(void) {
        struct xcp_vm_spec spec = pvh;
        struct xen_facts facts = {};
        libxl_domain_config config;

        spec.kind = XCP_VM_KIND_HVM;
        make(&config, &spec, NULL, &facts);
        g_assert_cmpint(config.c_info.type, ==, LIBXL_DOMAIN_TYPE_HVM);
        g_assert_cmpint(config.b_info.type, ==, LIBXL_DOMAIN_TYPE_HVM);
        g_assert_cmpint(config.b_info.u.hvm.bios, ==, LIBXL_BIOS_TYPE_SEABIOS);
        g_assert_cmpstr(config.b_info.kernel, ==, "/k");
        g_assert_cmpstr(config.b_info.ramdisk, ==, "/i");
        g_assert_cmpstr(config.b_info.cmdline, ==, "quiet");
        libxl_domain_config_dispose(&config);
}

static void test_hvm(void) {
        const struct xcp_disk_spec specs[] = {
                { .name = "root", .has_boot_index = true, .boot_index = 2 },
                { .name = "cd", .kind = XCP_DISK_KIND_CD_ROM, .has_boot_index = true, .boot_index = 1 },
        };
        const struct hypervisor_disk disks[] = { { specs, &file }, { specs + 1, NULL } };
        struct xcp_vm_spec spec = pvh;
        struct xen_facts facts = {};
        libxl_domain_config config;

        spec.firmware = XCP_FIRMWARE_UEFI;
        spec.kernel = spec.initramfs = spec.command_line = NULL;
        spec.disks = specs;
        spec.n_disks = 2;
        make(&config, &spec, disks, &facts);
        g_assert_cmpint(config.c_info.type, ==, LIBXL_DOMAIN_TYPE_HVM);
        g_assert_cmpint(config.b_info.u.hvm.bios, ==, LIBXL_BIOS_TYPE_OVMF);
        g_assert_cmpstr(config.b_info.u.hvm.boot, ==, "dc");
        g_assert_cmpstr(config.b_info.u.hvm.serial, ==, "pty");
        g_assert_cmpstr(config.disks[0].vdev, ==, "hdb");      /* drives come first */
        g_assert_cmpstr(config.disks[0].pdev_path, ==, "/srv/a.img");
        g_assert_cmpint(config.disks[0].format, ==, LIBXL_DISK_FORMAT_RAW);
        g_assert_cmpstr(config.disks[1].vdev, ==, "hda");
        g_assert_cmpint(config.disks[1].is_cdrom, ==, 1);
        g_assert_cmpint(config.disks[1].format, ==, LIBXL_DISK_FORMAT_EMPTY);
        libxl_domain_config_dispose(&config);
}

/* A BIOS boots from the first disk. */
static void test_boot_disk(void) {
        const struct xcp_disk_spec specs[] = {
                { .name = "data", .has_boot_index = true, .boot_index = 4 }, { .name = "cd", .kind = XCP_DISK_KIND_CD_ROM },
                { .name = "root", .has_boot_index = true, .boot_index = 3 },
        };
        const struct hypervisor_disk disks[] = { { specs, &file }, { specs + 1, NULL }, { specs + 2, &file } };
        const char *const vdevs[] = { "hdc", "hdb", "hda" };
        struct xcp_vm_spec spec = pvh;
        struct xen_facts facts = {};
        libxl_domain_config config;

        spec.firmware = XCP_FIRMWARE_BIOS;
        spec.disks = specs;
        spec.n_disks = 3;
        make(&config, &spec, disks, &facts);
        g_assert_cmpstr(config.b_info.u.hvm.boot, ==, "cd");
        for (size_t i = 0; i < 3; i++)
                g_assert_cmpstr(config.disks[i].vdev, ==, vdevs[i]);
        libxl_domain_config_dispose(&config);
}

static void test_devices(void) {
        const struct xcp_disk_spec specs[] = {
                { .name = "a", .mode = XCP_DISK_MODE_READ_ONLY }, { .name = "b", .mode = XCP_DISK_MODE_READ_WRITE },
        };
        const struct hypervisor_disk disks[] = { { specs, &file }, { specs + 1, &file } };
        const struct xcp_network_interface_spec network = { .name = "net0", .network = "br0", .mac = "00:16:3e:ff:02:03", .carrier = true,
                                                            .has_rate_limit = true, .rate_limit = 1000000 };
        const libxl_mac mac = { 0x00, 0x16, 0x3e, 0xff, 0x02, 0x03 };
        struct xen_facts facts = {}, there = {};
        struct xen_facts_device *device;
        struct xcp_vm_spec spec = pvh;
        libxl_domain_config config;

        spec.disks = specs;
        spec.n_disks = 2;
        spec.network_interfaces = &network;
        spec.n_network_interfaces = 1;
        make(&config, &spec, disks, &facts);
        g_assert_cmpint(config.num_disks, ==, 2);
        g_assert_cmpstr(config.disks[0].vdev, ==, "xvda");
        g_assert_cmpint(config.disks[0].readwrite, ==, 0);
        g_assert_cmpstr(config.disks[1].vdev, ==, "xvdb");
        g_assert_cmpint(config.disks[1].readwrite, ==, 1);
        g_assert_cmpint(config.num_nics, ==, 1);
        g_assert_cmpstr(config.nics[0].bridge, ==, "br0");
        g_assert_cmpmem(config.nics[0].mac, 6, mac, 6);
        g_assert_cmpuint(config.nics[0].rate_bytes_per_interval, ==, 50000);
        /* Where it comes from, they had changed places, and there was no network interface any more. */
        g_assert_cmpint(xen_facts_add(&there, true, "b", &device), ==, 0);
        g_assert_cmpint(xen_facts_add(&there, true, "a", &device), ==, 0);
        g_assert_cmpint(xen_facts_add(&there, false, "net0", &device), ==, 0);
        device->is_plugged = false;
        g_assert_cmpint(xen_config_move(&config, &facts, &there), ==, 0);
        g_assert_cmpstr(config.disks[0].vdev, ==, "xvdb");
        g_assert_cmpstr(config.disks[1].vdev, ==, "xvda");
        g_assert_cmpint(config.num_nics, ==, 0);
        libxl_domain_config_dispose(&config);
}

static void test_vdevs(void) {
        char vdev[CONFIG_VDEV_SIZE];

        xen_config_name_vdev(LIBXL_DOMAIN_TYPE_PV, 25, vdev);
        g_assert_cmpstr(vdev, ==, "xvdz");
        xen_config_name_vdev(LIBXL_DOMAIN_TYPE_PV, 26, vdev);
        g_assert_cmpstr(vdev, ==, "xvdaa");
        xen_config_name_vdev(LIBXL_DOMAIN_TYPE_HVM, 3, vdev);
        g_assert_cmpstr(vdev, ==, "hdd");
        xen_config_name_vdev(LIBXL_DOMAIN_TYPE_HVM, 4, vdev);
        g_assert_cmpstr(vdev, ==, "xvde");
        xen_config_name_vdev(LIBXL_DOMAIN_TYPE_HVM, UINT32_MAX, vdev);
        g_assert_cmpuint(strlen(vdev), <, CONFIG_VDEV_SIZE);
}

static int check(const struct xcp_vm_spec *spec) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = xen_config_check(spec, &error);
        g_assert_cmpint(r < 0, ==, error.name != NULL);
        idl_error_done(&error);
        return r;
}

static void test_checks(void) {
        const struct xcp_disk_spec cd = { .name = "cd", .kind = XCP_DISK_KIND_CD_ROM };
        struct xcp_network_interface_spec network = { .name = "net0", .network = "user", .carrier = true };
        struct xcp_vm_spec spec = pvh;

        g_assert_cmpint(check(&spec), ==, 0);
        spec.kind = XCP_VM_KIND_PV;
        spec.firmware = XCP_FIRMWARE_BIOS;
        g_assert_cmpint(check(&spec), ==, -EINVAL);
        spec = pvh;
        spec.disks = &cd;
        spec.n_disks = 1;
        g_assert_cmpint(check(&spec), ==, -EINVAL);
        spec.kind = XCP_VM_KIND_HVM;
        g_assert_cmpint(check(&spec), ==, 0);
        spec.network_interfaces = &network;
        spec.n_network_interfaces = 1;
        g_assert_cmpint(check(&spec), ==, -EINVAL);
        network.network = "br0";
        g_assert_cmpint(check(&spec), ==, 0);
}

static int check_screen(const struct xcp_vm_spec *spec) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = xen_screen_check(spec, &error);
        g_assert_cmpint(r < 0, ==, error.name != NULL);
        idl_error_done(&error);
        return r;
}

static void test_screen(void) {
        struct xcp_dict_s_s_entry option = { "a", "vnc" };
        struct xcp_vm_spec spec = pvh;
        char directory[] = "/tmp/test-xen-screen-XXXXXX", path[128];
        struct xen xen = {};
        struct xen_guest guest = { .xen = &xen, .uuid = UUID };
        libxl_domain_build_info info;

        g_assert_cmpint(check_screen(&spec), ==, 0);
        g_assert_false(xen_screen_is_wanted(&spec));
        spec.backend_options = &option;
        spec.n_backend_options = 1;
        g_assert_cmpint(check_screen(&spec), ==, -EINVAL);
        option.key = "display";
        g_assert_cmpint(check_screen(&spec), ==, -EINVAL);      /* of a PVH guest */
        spec.kind = XCP_VM_KIND_HVM;
        g_assert_cmpint(check_screen(&spec), ==, 0);
        g_assert_true(xen_screen_is_wanted(&spec));
        option.value = "sdl";
        g_assert_cmpint(check_screen(&spec), ==, -EINVAL);
        option.value = "none";
        g_assert_cmpint(check_screen(&spec), ==, 0);
        g_assert_false(xen_screen_is_wanted(&spec));

        g_assert_nonnull(mkdtemp(directory));
        xen.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        libxl_domain_build_info_init(&info);
        libxl_domain_build_info_init_type(&info, LIBXL_DOMAIN_TYPE_HVM);
        g_assert_cmpint(xen_screen_add(&guest, &info, NULL), ==, 0);
        snprintf(path, sizeof path, "unix:%s/" UUID ".vnc,share=ignore", directory);
        g_assert_cmpstr(info.u.hvm.vnc.listen, ==, path);
        g_assert_true(libxl_defbool_val(info.u.hvm.vnc.enable));
        libxl_domain_build_info_dispose(&info);
        close(xen.directory_fd);
        rmdir(directory);
}

static int check_firmware(const struct xcp_vm_spec *spec, const char *word) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = xen_firmware_check(spec, &error);
        g_assert_cmpint(r < 0, ==, error.name != NULL);
        if (r < 0)
                g_assert_nonnull(strstr(error.message, word));
        idl_error_done(&error);
        return r;
}

static void test_firmware(void) {
        char bytes[0x206] = "\177ELF", path[] = "/tmp/test-xen-kernel-XXXXXX";
        struct xcp_vm_spec spec = pvh;
        struct xen_facts facts = {};
        libxl_domain_config config;
        int fd = mkstemp(path);

        g_assert_cmpint(fd, >=, 0);
        spec.kernel = path;
        g_assert_cmpint(check_firmware(&spec, ""), ==, 0);      /* of no interest but in an HVM guest */
        spec.kind = XCP_VM_KIND_HVM;
        g_assert_cmpint(check_firmware(&spec, "bzImage"), ==, -EINVAL);
        g_assert_cmpint(pwrite(fd, bytes, sizeof bytes, 0), ==, sizeof bytes);
        g_assert_cmpint(check_firmware(&spec, "bzImage"), ==, -EINVAL);
        g_assert_cmpint(pwrite(fd, "HdrS", 4, 0x202), ==, 4);
        g_assert_cmpint(check_firmware(&spec, ""), ==, 0);
        close(fd);
        unlink(path);
        g_assert_cmpint(check_firmware(&spec, "No such file"), ==, -EINVAL);

        spec.firmware = XCP_FIRMWARE_UEFI;
        g_setenv(FIRMWARE_UEFI_VARIABLE, "/srv/OVMF.xen.fd", true);
        g_assert_cmpint(check_firmware(&spec, ""), ==, 0);
        make(&config, &spec, NULL, &facts);
        g_assert_cmpstr(config.b_info.u.hvm.system_firmware, ==, "/srv/OVMF.xen.fd");
        libxl_domain_config_dispose(&config);
        g_unsetenv(FIRMWARE_UEFI_VARIABLE);
        make(&config, &spec, NULL, &facts);
        g_assert_null(config.b_info.u.hvm.system_firmware);
        libxl_domain_config_dispose(&config);
        spec.firmware = XCP_FIRMWARE_BIOS;
        g_assert_cmpint(check_firmware(&spec, ""), ==, 0);
}

static void test_paths(void) {
        const struct xcp_disk_spec spec = { .name = "a" };
        const struct xcp_dict_s_s_entry part = { "offset", "512" }, image = { "format", "qcow2" };
        struct xcp_data_path path = file;
        const struct hypervisor_disk disk = { &spec, &path };
        struct idl_error error = IDL_ERROR_NULL;
        libxl_device_disk made;

        path.kind = XCP_DATA_PATH_KIND_VHOST_USER;
        g_assert_cmpint(xen_config_make_disk(&made, LIBXL_DOMAIN_TYPE_PVH, &disk, 0, &error), <, 0);
        idl_error_done(&error);
        path.kind = XCP_DATA_PATH_KIND_XEN_BLOCK;
        path.parameters = &image;
        path.n_parameters = 1;
        g_assert_cmpint(xen_config_make_disk(&made, LIBXL_DOMAIN_TYPE_PVH, &disk, 0, &error), ==, 0);
        g_assert_cmpstr(made.pdev_path, ==, path.path);
        g_assert_cmpint(made.format, ==, LIBXL_DISK_FORMAT_QCOW2);
        libxl_device_disk_dispose(&made);
        path = file;
        path.parameters = &part;
        path.n_parameters = 1;
        g_assert_cmpint(xen_config_make_disk(&made, LIBXL_DOMAIN_TYPE_PVH, &disk, 0, &error), <, 0);
        idl_error_done(&error);
}

/* Two back-ends of one disk */

static void check_shareable(libxl_disk_backend backend, int readwrite, const char *params, const char *expected) {
        const libxl_device_disk disk = { .backend = backend, .readwrite = readwrite };
        char format[SHARING_FORMAT_SIZE] = "";

        g_assert_cmpint(xen_disk_is_shareable(&disk, params, format), ==, expected == NULL);
        if (expected)
                g_assert_cmpstr(format, ==, expected);
}

static void test_sharing(void) {
        check_shareable(LIBXL_DISK_BACKEND_PHY, 1, "/dev/loop0", NULL);
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "aio:/srv/a.img", NULL);
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "raw:/srv/a.img", NULL);
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 0, "qcow2:/srv/a.qcow2", NULL);
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "qcow2:/srv/a.qcow2", "qcow2");
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "vhd:raw:/srv/a.vhd", "vhd");
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, NULL, "unknown");
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "aio", "unknown");
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "an-image:/srv/a", "unknown");
        check_shareable(LIBXL_DISK_BACKEND_QDISK, 1, "abcdefghijklmnopqrstuvwxyz:/srv/a", "unknown");
        check_shareable(LIBXL_DISK_BACKEND_TAP, 1, "qcow2:/srv/a.qcow2", "qcow2");
}

/* Bytes of a stream */

static int peek(const char *there, bool is_over) {
        char data[8];
        int fds[2], r;

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(xen_stream_write_all(fds[0], there, strlen(there)), ==, 0);
        if (is_over)
                close(fds[0]);
        r = xen_stream_peek_all(fds[1], data, sizeof data);
        if (r >= 0) {                   /* they stay */
                g_assert_cmpint(xen_stream_read_all(fds[1], data, sizeof data), ==, 0);
                g_assert_cmpmem(data, 8, there, 8);
        }
        if (!is_over)
                close(fds[0]);
        close(fds[1]);
        return r;
}

/* A stream that ends in the middle of what is waited for ends the wait. */
static void test_stream_bytes(void) {
        g_assert_cmpint(peek("12345678", false), ==, 0);
        g_assert_cmpint(peek("12345678 and more", true), ==, 0);
        g_assert_cmpint(peek("1234567", true), ==, -EBADMSG);
        g_assert_cmpint(peek("", true), ==, -EBADMSG);
}

/* Facts */

static void test_facts(void) {
        struct xen_facts facts = { .phase = FACTS_STARTED, .domid = 7, .other = FACTS_NO_DOMAIN, .started_usec = UINT64_C(1) << 50 }, again;
        struct xen_facts_device *device;
        g_autofree char *directory = g_dir_make_tmp("xen-facts-XXXXXX", NULL), *path = g_build_filename(directory, UUID, NULL);
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        g_assert_cmpint(xen_facts_add(&facts, true, "root", &device), ==, 0);
        g_assert_cmpint(xen_facts_add(&facts, false, "net0", &device), ==, 0);
        g_assert_cmpint(xen_facts_add(&facts, true, "data", &device), ==, 0);
        g_assert_cmpuint(device->index, ==, 1);
        device->is_plugged = false;
        g_assert_cmpint(xen_facts_save(&facts, "boot", fd, UUID), ==, 0);
        g_assert_cmpint(xen_facts_load(&again, "other", fd, UUID), ==, -ESTALE);
        g_assert_cmpint(xen_facts_load(&again, "boot", fd, UUID), ==, 0);
        g_assert_cmpint(again.phase, ==, FACTS_STARTED);
        g_assert_cmpuint(again.domid, ==, 7);
        g_assert_cmpuint(again.other, ==, FACTS_NO_DOMAIN);
        g_assert_cmpuint(again.started_usec, ==, facts.started_usec);
        g_assert_cmpuint(again.n_devices, ==, 3);
        g_assert_false(xen_facts_find(&again, true, "data")->is_plugged);
        g_assert_null(xen_facts_find(&again, false, "data"));
        xen_facts_remove(&again, xen_facts_find(&again, true, "root"));
        g_assert_cmpuint(xen_facts_free_index(&again, true), ==, 0);
        g_assert_cmpuint(xen_facts_find(&again, true, "data")->index, ==, 1);
        unlink(path);
        g_assert_cmpint(xen_facts_load(&again, "boot", fd, UUID), ==, -ENOENT);
        close(fd);
        rmdir(directory);
}

static void test_bad_facts(void) {
        static const char *const bad[] = {
                "", "xcp-xen-guest 2\n", "xcp-xen-guest 1\nboot boot\nphase dead\ndomid 1\nother 1\nstarted 1\nadopted 0\n",
                "xcp-xen-guest 1\nboot boot\nphase begun\ndomid 1\nother 1\nstarted 1\nadopted 2\n",
                "xcp-xen-guest 1\nboot boot\nphase begun\ndomid 1\nother 1\nstarted 1\nadopted 0\nfloppy a 0 1\n",
                "xcp-xen-guest 1\nboot boot\nphase begun\ndomid 1\nother 1\nstarted 1\nadopted 0\ndisk a 0 1",
                "xcp-xen-guest 1\nboot boot\nphase begun\ndomid 1\nother 1\nstarted 1\nadopted 0\ndisk a 0\n",
        };
        struct xen_facts facts;

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_cmpint(xen_facts_parse(&facts, bad[i], "boot"), ==, -EBADMSG);
}

/* States */

static void test_status(void) {
        struct xen_facts facts = { .phase = FACTS_NONE };
        libxl_dominfo info = { .domid = 3, .paused = true };
        struct hypervisor_status status;

        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_ABSENT);
        facts.phase = FACTS_PREPARED;
        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_PREPARED);
        g_assert_cmpuint(status.domains[0], ==, 3);
        facts.phase = FACTS_STARTED;
        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_SUSPENDED);
        info.paused = false;
        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_RUNNING);
        info.shutdown = true;
        info.shutdown_reason = LIBXL_SHUTDOWN_REASON_CRASH;
        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_ENDED);
        g_assert_cmpint(status.event, ==, HYPERVISOR_PANICKED);
        info.shutdown_reason = LIBXL_SHUTDOWN_REASON_SUSPEND;
        xen_status_read(&status, &facts, &info);
        g_assert_cmpint(status.state, ==, HYPERVISOR_SUSPENDED);
        xen_status_read(&status, &facts, NULL);
        g_assert_cmpint(status.event, ==, HYPERVISOR_EXITED);
        g_assert_cmpint(xen_status_event(LIBXL_SHUTDOWN_REASON_REBOOT), ==, HYPERVISOR_REBOOTED);
        g_assert_cmpint(xen_status_event(1000), ==, HYPERVISOR_BROKEN);
}

static void test_addresses(void) {
        char text[INET6_ADDRSTRLEN];

        g_assert_cmpint(address_check("10.0.0.1", text), ==, 0);
        g_assert_cmpstr(text, ==, "10.0.0.1");
        g_assert_cmpint(address_check("FE80:0::1", text), ==, 0);
        g_assert_cmpstr(text, ==, "fe80::1");
        g_assert_cmpint(address_check("", text), ==, -EINVAL);
        g_assert_cmpint(address_check("10.0.0.1\n", text), ==, -EINVAL);
        g_assert_cmpint(address_check("host", text), ==, -EINVAL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xen/config/a-kernel-is-a-pvh-guest", test_pvh);
        g_test_add_func("/xen/config/firmware-is-an-hvm-guest", test_hvm);
        g_test_add_func("/xen/config/the-disk-to-boot-from-is-the-first", test_boot_disk);
        g_test_add_func("/xen/config/a-kernel-of-an-hvm-guest", test_kernel_of_hvm);
        g_test_add_func("/xen/config/devices-are-where-they-were", test_devices);
        g_test_add_func("/xen/config/names-of-disks", test_vdevs);
        g_test_add_func("/xen/config/what-xen-cannot-do-is-refused", test_checks);
        g_test_add_func("/xen/screen/is-a-socket-of-its-guests", test_screen);
        g_test_add_func("/xen/firmware/what-would-not-begin-is-refused", test_firmware);
        g_test_add_func("/xen/config/ways-to-disks-that-xen-has-not", test_paths);
        g_test_add_func("/xen/sharing/images-that-two-would-write", test_sharing);
        g_test_add_func("/xen/stream/an-end-in-the-middle", test_stream_bytes);
        g_test_add_func("/xen/facts/come-back", test_facts);
        g_test_add_func("/xen/facts/damaged", test_bad_facts);
        g_test_add_func("/xen/status/what-a-domain-is", test_status);
        g_test_add_func("/xen/addresses/only-addresses", test_addresses);
        return g_test_run();
}
