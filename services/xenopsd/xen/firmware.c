/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "firmware.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"

#define KERNEL_MAGIC "HdrS"             /* Documentation/arch/x86/boot.rst: at 0x202 of what a BIOS can boot */
#define KERNEL_MAGIC_OFFSET 0x202
#define ELF_MAGIC "\177ELF"
#define MAGIC_SIZE 4u

#define NEEDS "needs an OVMF for Xen (OvmfXen) in an HVM guest"

/* Whether these four bytes are there. A file that is shorter does not have them. */
static int has_magic(const char *path, off_t offset, const char *magic) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        char bytes[MAGIC_SIZE];
        ssize_t n;

        n = fd < 0 ? -1 : pread(fd, bytes, sizeof bytes, offset);
        if (n < 0)
                return -errno;
        return n == sizeof bytes && memcmp(bytes, magic, sizeof bytes) == 0;
}

const char *xen_firmware_uefi(void) {
        const char *path = secure_getenv(FIRMWARE_UEFI_VARIABLE);

        return path && path[0] ? path : NULL;
}

/*
 * EDK II has one platform for Xen, OvmfXen, and since edk2-stable202108 no other of its platforms runs there. An image of it begins as an ELF file, by
 * which Xen can start it in a PVH guest. Debian 12 has none.
 */
static int check_uefi(struct idl_error *error) {
        int r;

        if (xen_firmware_uefi())
                return 0;
        r = has_magic(FIRMWARE_UEFI, 0, ELF_MAGIC);
        if (r > 0)
                return 0;
        return idl_error_set_invalid_argument(error, "spec.firmware", "Uefi", r < 0
                ? NEEDS ": there is no " FIRMWARE_UEFI " that can be read; " FIRMWARE_UEFI_VARIABLE " may name another"
                : NEEDS ": " FIRMWARE_UEFI " is not, and with it the guest would stand still; " FIRMWARE_UEFI_VARIABLE " may name another");
}

static int check_kernel(const char *path, struct idl_error *error) {
        int r;

        r = has_magic(path, KERNEL_MAGIC_OFFSET, KERNEL_MAGIC);
        if (r < 0)
                return idl_error_set_invalid_argument(error, "spec.kernel", path, strerrordesc_np(-r) ?: "cannot be read");
        return r > 0 ? 0 : idl_error_set_invalid_argument(error, "spec.kernel", path,
                                                          "has to be a bzImage in an HVM guest, as in /boot (an ELF file is for PV and PVH)");
}

int xen_firmware_check(const struct xcp_vm_spec *spec, struct idl_error *error) {
        if (xen_config_type(spec) != LIBXL_DOMAIN_TYPE_HVM)
                return 0;
        if (spec->firmware == XCP_FIRMWARE_UEFI)
                return check_uefi(error);
        return spec->firmware == XCP_FIRMWARE_KERNEL ? check_kernel(spec->kernel, error) : 0;
}
