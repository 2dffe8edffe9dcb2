/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "screen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"

#define OPTION "display"
#define LISTEN_FORMAT "unix:%s,share=ignore"    /* as QEMU's -vnc has it, to which libxl hands it on: nobody throws others out */

/* The option */

int xen_screen_check(const struct xcp_vm_spec *spec, struct idl_error *error) {
        for (size_t i = 0; i < spec->n_backend_options; i++) {
                const struct xcp_dict_s_s_entry *option = spec->backend_options + i;

                if (strcmp(option->key, OPTION) != 0)
                        return idl_error_set_invalid_argument(error, "spec.backend_options", option->key, "is no option of xen");
                if (strcmp(option->value, "vnc") != 0 && strcmp(option->value, "none") != 0)
                        return idl_error_set_invalid_argument(error, "spec.backend_options." OPTION, option->value, "has to be vnc or none");
        }
        if (xen_screen_is_wanted(spec) && xen_config_type(spec) != LIBXL_DOMAIN_TYPE_HVM)
                return idl_error_set_invalid_argument(error, "spec.backend_options." OPTION, "vnc", "cannot be had in PV and PVH guests");
        return 0;
}

bool xen_screen_is_wanted(const struct xcp_vm_spec *spec) {
        for (size_t i = 0; i < spec->n_backend_options; i++)
                if (strcmp(spec->backend_options[i].key, OPTION) == 0)
                        return strcmp(spec->backend_options[i].value, "vnc") == 0;
        return false;
}

/* The socket. Another process makes it, so its path has to be one that holds for all. */
static int make_address(const struct xen_guest *guest, struct sockaddr_un *ret_address) {
        char link[32], directory[sizeof ret_address->sun_path];
        ssize_t n;
        int length;

        snprintf(link, sizeof link, "/proc/self/fd/%d", guest->xen->directory_fd);
        n = readlink(link, directory, sizeof directory);
        if (n < 0)
                return -errno;
        *ret_address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        length = snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%.*s/%s" GUEST_SCREEN_SUFFIX, (int) n, directory, guest->uuid);
        return (size_t) length < sizeof ret_address->sun_path ? 0 : -ENAMETOOLONG;
}

static int write_listen(const struct xen_guest *guest, char **ret_listen) {
        struct sockaddr_un address;
        int r;

        r = make_address(guest, &address);
        if (r >= 0 && strchr(address.sun_path, ','))            /* it would end there for QEMU */
                r = -EINVAL;
        if (r < 0)
                return r;
        return asprintf(ret_listen, LISTEN_FORMAT, address.sun_path) < 0 ? -ENOMEM : 0;
}

int xen_screen_add(const struct xen_guest *guest, libxl_domain_build_info *info, struct idl_error *error) {
        int r;

        r = write_listen(guest, &info->u.hvm.vnc.listen);
        if (r < 0)
                return r == -ENOMEM ? r : idl_error_set_backend_failed(error, "xen", "give its guest a screen",
                                                                       "the path of the state directory is too long for a socket, or has a comma");
        libxl_defbool_set(&info->u.hvm.vnc.enable, true);
        libxl_defbool_set(&info->u.hvm.vnc.findunused, false);
        info->u.hvm.vga.kind = LIBXL_VGA_INTERFACE_TYPE_STD;
        return 0;
}

int xen_screen_connect(const struct xen_guest *guest, int *ret_fd) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address;
        int r;

        if (fd < 0)
                return -errno;
        r = make_address(guest, &address);
        if (r < 0)
                return r;
        if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}
