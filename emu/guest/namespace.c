/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "namespace.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mounts.h"

static int name_host(uint32_t domid) {
        char name[sizeof "dom4294967295"];

        snprintf(name, sizeof name, "dom%u", domid);
        return sethostname(name, strlen(name)) < 0 ? -errno : 0;
}

static int raise_loopback(void) {
        struct ifreq request = { .ifr_name = "lo" };
        int fd, r = 0;

        fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
                r = -errno;
        request.ifr_flags |= IFF_UP;
        if (r >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) < 0)
                r = -errno;
        close(fd);
        return r;
}

int namespace_isolate(const struct emu_guest_boot *boot, char *text, size_t n_text) {
        int r;

        r = name_host(boot->domid);
        if (r < 0) {
                snprintf(text, n_text, "cannot set the host name: %s", strerror(-r));
                return r;
        }
        r = raise_loopback();
        if (r < 0) {
                snprintf(text, n_text, "cannot raise the network interface lo: %s", strerror(-r));
                return r;
        }
        return mounts_isolate(boot, text, n_text);
}
