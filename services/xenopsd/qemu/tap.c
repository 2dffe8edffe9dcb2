/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

#define PREFIX "xcpt"

extern unsigned if_nametoindex(const char *name);       /* <net/if.h>, which cannot be included beside <linux/if.h> */

void tap_name(const char *uuid, const char *interface, char *ret_name) {
        uint64_t sum = UINT64_C(0xcbf29ce484222325);

        for (const char *p = uuid; *p; p++)
                sum = (sum ^ (unsigned char) *p) * UINT64_C(0x100000001b3);
        for (const char *p = interface; *p; p++)
                sum = (sum ^ (unsigned char) *p) * UINT64_C(0x100000001b3);
        snprintf(ret_name, TAP_NAME_SIZE, PREFIX "%011" PRIx64, sum & UINT64_C(0xfffffffffff));
}

bool tap_exists(const char *name) {
        return if_nametoindex(name) > 0;
}

static int on_interface(const char *name, unsigned long request, struct ifreq *ifr) {
        AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        snprintf(ifr->ifr_name, sizeof ifr->ifr_name, "%s", name);
        return ioctl(fd, request, ifr) < 0 ? -errno : 0;
}

static int find_bridge(const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        return if_nametoindex(spec->network) > 0 ? 0 : idl_error_set_does_not_exist(error, "network", spec->network);
}

static int join(const char *tap, const char *bridge) {
        return on_interface(bridge, SIOCBRADDIF, &(struct ifreq) { .ifr_ifindex = (int) if_nametoindex(tap) });
}

static int set_up(const char *tap, const struct xcp_network_interface_spec *spec) {
        struct ifreq ifr = {};
        int r = 0;

        if (spec->has_mtu)
                r = on_interface(tap, SIOCSIFMTU, &(struct ifreq) { .ifr_mtu = (int) spec->mtu });
        if (r >= 0)
                r = join(tap, spec->network);
        if (r >= 0)
                r = on_interface(tap, SIOCGIFFLAGS, &ifr);
        if (r < 0)
                return r;
        ifr.ifr_flags |= IFF_UP;
        return on_interface(tap, SIOCSIFFLAGS, &ifr);
}

int tap_open(const char *uuid, const struct xcp_network_interface_spec *spec, int *ret_fd, struct idl_error *error) {
        struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
        AUTO_CLOSE int fd = -1;
        char name[TAP_NAME_SIZE];
        int r;

        r = find_bridge(spec, error);
        if (r < 0)
                return r;
        tap_name(uuid, spec->name, name);
        snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
        fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
                return idl_error_set_backend_failed(error, "qemu", "make a tap device", strerrordesc_np(errno));
        r = set_up(name, spec);
        if (r < 0)
                return idl_error_set_backend_failed(error, "qemu", "put a tap device on the bridge", strerrordesc_np(-r));
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int tap_move(const char *uuid, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        char name[TAP_NAME_SIZE], path[64], target[256];
        ssize_t n;
        int r;

        r = find_bridge(spec, error);
        if (r < 0)
                return r;
        tap_name(uuid, spec->name, name);
        snprintf(path, sizeof path, "/sys/class/net/%s/master", name);
        n = readlink(path, target, sizeof target - 1);
        if (n > 0) {
                target[n] = '\0';
                r = on_interface(strrchr(target, '/') ? strrchr(target, '/') + 1 : target, SIOCBRDELIF,
                                 &(struct ifreq) { .ifr_ifindex = (int) if_nametoindex(name) });
        }
        if (r >= 0)
                r = join(name, spec->network);
        return r < 0 ? idl_error_set_backend_failed(error, "qemu", "put a tap device on another bridge", strerrordesc_np(-r)) : 0;
}

static int read_count(const char *tap, const char *what, uint64_t *ret_count) {
        char path[96], text[32];
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        snprintf(path, sizeof path, "/sys/class/net/%s/statistics/%s", tap, what);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (n < 0)
                return -ENODEV;
        text[n] = '\0';
        return sscanf(text, "%" SCNu64, ret_count) == 1 ? 0 : -ENODEV;
}

int tap_statistics(const char *uuid, const char *interface, struct xcp_network_statistics *ret_statistics) {
        struct xcp_network_statistics statistics = {};
        char name[TAP_NAME_SIZE];
        int r;

        tap_name(uuid, interface, name);
        r = read_count(name, "tx_bytes", &statistics.received_bytes);   /* what the host sends, the guest receives */
        if (r >= 0)
                r = read_count(name, "tx_packets", &statistics.received_packets);
        if (r >= 0)
                r = read_count(name, "rx_bytes", &statistics.sent_bytes);
        if (r >= 0)
                r = read_count(name, "rx_packets", &statistics.sent_packets);
        if (r >= 0)
                *ret_statistics = statistics;
        return r;
}
