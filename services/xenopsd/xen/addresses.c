/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <xenstore.h>

#include "hypervisor.h"
#include "neighbours.h"

#define PER_DEVICE_MAX 8u               /* of each kind that are looked at */
#define DEVICES_MAX 16u                 /* spec.h: network interfaces of a VM */

struct reading {
        struct xs_handle *store;
        uint32_t domid;
        struct xcp_guest_address *addresses;
        size_t n;
        char *macs[DEVICES_MAX];
        size_t n_macs;
};

int address_check(const char *untrusted, char *ret_text) {
        struct in_addr v4;
        struct in6_addr v6;

        if (inet_pton(AF_INET, untrusted, &v4) == 1)
                return inet_ntop(AF_INET, &v4, ret_text, INET6_ADDRSTRLEN) ? 0 : -EINVAL;
        if (inet_pton(AF_INET6, untrusted, &v6) == 1)
                return inet_ntop(AF_INET6, &v6, ret_text, INET6_ADDRSTRLEN) ? 0 : -EINVAL;
        return -EINVAL;
}

static bool is_there(const struct reading *reading, const char *text) {
        for (size_t i = 0; i < reading->n; i++)
                if (strcmp(reading->addresses[i].address, text) == 0)
                        return true;
        return false;
}

static void add(struct reading *reading, const char *text, const char *mac, enum xcp_address_source source) {
        struct xcp_guest_address *address = reading->addresses + reading->n;

        if (reading->n >= HYPERVISOR_ADDRESSES_MAX || is_there(reading, text))
                return;
        *address = (struct xcp_guest_address) { .address = strdup(text), .mac = strdup(mac), .source = source };
        if (address->address && address->mac)
                reading->n++;
        else {
                free((char *) address->address);
                free((char *) address->mac);
        }
}

static void read_one(struct reading *reading, const char *node, const char *mac) {
        char path[96], text[INET6_ADDRSTRLEN];
        char *untrusted;
        unsigned n;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/attr/%s", reading->domid, node);
        untrusted = xs_read(reading->store, XBT_NULL, path, &n);
        if (untrusted && address_check(untrusted, text) >= 0)
                add(reading, text, mac, XCP_ADDRESS_SOURCE_XENSTORE);
        free(untrusted);
}

/* The MAC address is libxl's word, in its own directory, where a guest cannot write. */
static void read_device(struct reading *reading, const char *device, bool has_attributes) {
        char path[96], node[48];
        char *mac;
        unsigned n;

        snprintf(path, sizeof path, "/libxl/%" PRIu32 "/device/vif/%.8s/mac", reading->domid, device);
        mac = xs_read(reading->store, XBT_NULL, path, &n);
        if (!mac)
                return;
        reading->macs[reading->n_macs++] = mac;
        for (unsigned i = 0; has_attributes && i < 2 * PER_DEVICE_MAX; i++) {
                snprintf(node, sizeof node, "vif/%.8s/ipv%u/%u", device, i % 2 ? 6 : 4, i / 2);
                read_one(reading, node, mac);
        }
        if (has_attributes) {
                snprintf(node, sizeof node, "eth%.8s/ip", device);
                read_one(reading, node, mac);
        }
}

/* Of those, a link's own are nobody's to call. */
static void on_neighbour(void *userdata, const char *mac, const char *address) {
        struct reading *reading = userdata;
        bool is_of_link = strncmp(address, "fe80:", 5) == 0 || strncmp(address, "169.254.", 8) == 0;

        for (size_t i = 0; i < reading->n_macs && !is_of_link; i++)
                if (strcasecmp(reading->macs[i], mac) == 0)
                        add(reading, address, reading->macs[i], XCP_ADDRESS_SOURCE_NEIGHBOUR);
}

static bool has_attributes(const struct reading *reading) {
        char path[64];
        unsigned n = 0;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/attr", reading->domid);
        free(xs_directory(reading->store, XBT_NULL, path, &n));
        return n > 0;
}

void addresses_read(struct xs_handle *store, uint32_t domid, struct xcp_guest_address **ret_addresses, size_t *ret_n) {
        struct reading reading = { .store = store, .domid = domid };
        char path[64];
        char **devices;
        unsigned n = 0;
        bool has_any;

        *ret_addresses = NULL;
        *ret_n = 0;
        snprintf(path, sizeof path, "/libxl/%" PRIu32 "/device/vif", domid);
        devices = xs_directory(store, XBT_NULL, path, &n);
        reading.addresses = devices ? calloc(HYPERVISOR_ADDRESSES_MAX, sizeof *reading.addresses) : NULL;
        has_any = reading.addresses && has_attributes(&reading);        /* most guests have none: then there is nothing to ask for */
        for (unsigned i = 0; reading.addresses && i < n && i < DEVICES_MAX; i++)
                read_device(&reading, devices[i], has_any);
        if (reading.n_macs > 0)
                (void) neighbours_read(on_neighbour, &reading);         /* without them, fewer are known */
        for (size_t i = 0; i < reading.n_macs; i++)
                free(reading.macs[i]);
        free(devices);
        *ret_addresses = reading.addresses;
        *ret_n = reading.n;
}
