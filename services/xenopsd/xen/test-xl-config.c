/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Configurations of xl's, made into VMs'. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <glib.h>

#include "xl-config.h"

#define MIB UINT64_C(1048576)

struct fixture {
        struct idl_arena arena;
        struct xcp_vm_spec spec;
        struct idl_error error;
        char *left;
};

static int import(struct fixture *f, const char *text) {
        *f = (struct fixture) { .arena = IDL_ARENA_NULL, .error = IDL_ERROR_NULL };
        return xl_config_read(text, strlen(text), "one.cfg", &f->arena, &f->spec, &f->left, &f->error);
}

static void done(struct fixture *f) {
        idl_arena_done(&f->arena);
        idl_error_done(&f->error);
        free(f->left);
}

static void test_all(void) {
        static const char text[] =
                "# comments and lists, as people have them\n"
                "name = 'db-1'\n"
                "uuid = '01234567-89ab-cdef-0123-456789abcdef'\n"
                "type = \"pvh\"\n"
                "memory = 512\nmaxmem = 1024\nvcpus = 2\nmaxvcpus = 4\n"
                "kernel = '/boot/vmlinuz'\nramdisk = '/boot/initrd'\nroot = '/dev/xvda1 ro'\nextra = 'console=hvc0'\n"
                "disk = [ '/dev/vg/db,raw,xvda,rw', 'format=raw, vdev=xvdb, access=ro, target=/srv/data.img', ]\n"
                "vif = [ 'mac=00:16:3e:01:02:03,bridge=br0,rate=10MB/s', '', 'bridge=br1,mtu=9000,script=vif-other' ]\n"
                "on_crash = 'restart'\non_reboot = 'destroy'\ncpus = '0-1'\nvnc = 1\n";
        const struct xcp_vm_spec *spec;
        struct fixture f;

        g_assert_cmpint(import(&f, text), ==, 0);
        spec = &f.spec;
        g_assert_cmpstr(spec->name, ==, "db-1");
        g_assert_cmpstr(spec->uuid, ==, "01234567-89ab-cdef-0123-456789abcdef");
        g_assert_cmpstr(spec->backend, ==, "xen");
        g_assert_cmpint(spec->kind, ==, XCP_VM_KIND_PVH);
        g_assert_cmpuint(spec->memory, ==, 512 * MIB);
        g_assert_cmpuint(spec->memory_max, ==, 1024 * MIB);
        g_assert_cmpuint(spec->vcpus, ==, 2);
        g_assert_cmpuint(spec->vcpus_max, ==, 4);
        g_assert_cmpint(spec->firmware, ==, XCP_FIRMWARE_KERNEL);
        g_assert_cmpstr(spec->kernel, ==, "/boot/vmlinuz");
        g_assert_cmpstr(spec->initramfs, ==, "/boot/initrd");
        g_assert_cmpstr(spec->command_line, ==, "root=/dev/xvda1 ro console=hvc0");
        g_assert_cmpuint(spec->n_disks, ==, 2);
        g_assert_cmpstr(spec->disks[0].path, ==, "/dev/vg/db");
        g_assert_cmpint(spec->disks[0].mode, ==, XCP_DISK_MODE_READ_WRITE);
        g_assert_cmpstr(spec->disks[1].path, ==, "/srv/data.img");
        g_assert_cmpint(spec->disks[1].mode, ==, XCP_DISK_MODE_READ_ONLY);
        g_assert_cmpuint(spec->n_network_interfaces, ==, 3);
        g_assert_cmpstr(spec->network_interfaces[0].mac, ==, "00:16:3e:01:02:03");
        g_assert_cmpstr(spec->network_interfaces[0].network, ==, "br0");
        g_assert_cmpuint(spec->network_interfaces[0].rate_limit, ==, 10000000);
        g_assert_cmpstr(spec->network_interfaces[1].network, ==, "xenbr0");
        g_assert_null(spec->network_interfaces[1].mac);
        g_assert_cmpuint(spec->network_interfaces[2].mtu, ==, 9000);
        g_assert_cmpint(spec->on_crash, ==, XCP_GUEST_ACTION_RESTART);
        g_assert_cmpint(spec->on_reboot, ==, XCP_GUEST_ACTION_HALT);
        g_assert_cmpstr(f.left, ==, "script of a network interface, 'vif-other'\ncpus\nvnc\n");
        done(&f);
}

static void test_little(void) {
        struct fixture f;

        g_assert_cmpint(import(&f, "name='a'\nbuilder='hvm'\nbios='ovmf'\ndisk=['phy:/dev/sda,hda,w',',raw,hdc,cdrom']"), ==, 0);
        g_assert_cmpint(f.spec.kind, ==, XCP_VM_KIND_HVM);
        g_assert_cmpint(f.spec.firmware, ==, XCP_FIRMWARE_UEFI);
        g_assert_cmpint(f.spec.disks[1].kind, ==, XCP_DISK_KIND_CD_ROM);
        g_assert_null(f.spec.disks[1].path);
        g_assert_cmpuint(f.spec.memory, ==, 256 * MIB);
        g_assert_false(f.spec.has_memory_max);
        g_assert_cmpint(f.spec.on_crash, ==, XCP_GUEST_ACTION_HALT);
        g_assert_cmpint(f.spec.on_reboot, ==, XCP_GUEST_ACTION_RESTART);
        g_assert_cmpstr(f.left, ==, "");
        done(&f);
}

static void test_bad(void) {
        static const char *const bad[][2] = {
                { "name = \n", "one.cfg" }, { "name = 'a'\n[]\n", "one.cfg" }, { "", "name" }, { "name='a'", "kernel" },
                { "name='a'\nkernel='/k'\ntype='amd64'", "amd64" }, { "name='a'\nkernel='/k'\nmemory='lots'", "memory" },
                { "name='a'\nkernel='/k'\nvcpus=0", "vcpus" }, { "name='a'\nbootloader='pygrub'", "pygrub" },
                { "name='a'\nkernel='/k'\ndisk=['/a,qcow2,xvda,w']", "qcow2" }, { "name='a'\nkernel='/k'\ndisk=['a,b,c,d,e']", "disk" },
                { "name='a'\nkernel='/k'\nvif=['bridge']", "key=value" }, { "name='a'\nkernel='/k'\nvif=['rate=fast']", "fast" },
                { "name='a'\nkernel='/k'\nvif=['mtu=70000']", "70000" }, { "name='a'\nkernel='/k'\nvif=[['a']]", "vif" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                struct fixture f;

                g_assert_cmpint(import(&f, bad[i][0]), <, 0);
                g_assert_nonnull(f.error.message);
                g_test_message("%s", f.error.message);
                g_assert_nonnull(strstr(f.error.message, bad[i][1]));
                done(&f);
        }
}

/* A terminal is what the serial line is anyway. */
static void test_serial(void) {
        static const struct {
                const char *serial, *left;
        } cases[] = {
                { "'pty'", "" }, { "['pty']", "" }, { "'/dev/ttyS0'", "serial\n" }, { "'tcp::4444,server'", "serial\n" }, { "''", "serial\n" },
                { "['file:/tmp/a']", "serial\n" }, { "['pty', 'pty']", "serial\n" }, { "[]", "serial\n" }, { "[['pty']]", "serial\n" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = g_strdup_printf("name='a'\ntype='hvm'\nserial=%s\nvnc=1", cases[i].serial);
                g_autofree char *left = g_strdup_printf("vnc\n%s", cases[i].left);
                struct fixture f;

                g_assert_cmpint(import(&f, text), ==, 0);
                g_assert_cmpstr(f.left, ==, left);
                done(&f);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xl-config/all-that-a-vm-has-is-taken-over-and-the-rest-is-named", test_all);
        g_test_add_func("/xl-config/what-is-absent-is-as-xl-has-it", test_little);
        g_test_add_func("/xl-config/what-cannot-be-is-refused-with-what-it-is", test_bad);
        g_test_add_func("/xl-config/a-serial-line-is-named-unless-it-is-a-terminal", test_serial);
        return g_test_run();
}
