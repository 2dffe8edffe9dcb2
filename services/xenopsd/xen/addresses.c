/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "../hypervisor.h"

#define PER_DEVICE_MAX 8u               /* of each kind that are looked at */
#define DEVICES_MAX 16u                 /* spec.h: network interfaces of a VM */

struct reading {
        struct xs_handle *store;
        uint32_t domid;
        struct xcp_guest_address *addresses;
        size_t n;
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

static void add(struct reading *reading, const char *text, const char *mac) {
        struct xcp_guest_address *address = reading->addresses + reading->n;

        if (reading->n >= HYPERVISOR_ADDRESSES_MAX || is_there(reading, text))
                return;
        *address = (struct xcp_guest_address) { .address = strdup(text), .mac = strdup(mac), .source = XCP_ADDRESS_SOURCE_XENSTORE };
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
                add(reading, text, mac);
        free(untrusted);
}

/* The MAC address is libxl's word, in its own directory, where a guest cannot write. */
static void read_device(struct reading *reading, unsigned device) {
        char path[96], node[48];
        char *mac;
        unsigned n;

        snprintf(path, sizeof path, "/libxl/%" PRIu32 "/device/vif/%u/mac", reading->domid, device);
        mac = xs_read(reading->store, XBT_NULL, path, &n);
        for (unsigned i = 0; mac && i < 2 * PER_DEVICE_MAX; i++) {
                snprintf(node, sizeof node, "vif/%u/ipv%u/%u", device, i % 2 ? 6 : 4, i / 2);
                read_one(reading, node, mac);
        }
        if (mac) {
                snprintf(node, sizeof node, "eth%u/ip", device);
                read_one(reading, node, mac);
        }
        free(mac);
}

void addresses_read(struct xs_handle *store, uint32_t domid, struct xcp_guest_address **ret_addresses, size_t *ret_n) {
        struct reading reading = { .store = store, .domid = domid };
        char path[64];
        char **entries;
        unsigned n = 0;

        *ret_addresses = NULL;
        *ret_n = 0;
        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/attr", domid);
        entries = xs_directory(store, XBT_NULL, path, &n);
        free(entries);
        if (n == 0)                     /* as with most guests: then there is nothing to ask for */
                return;
        reading.addresses = calloc(HYPERVISOR_ADDRESSES_MAX, sizeof *reading.addresses);
        for (unsigned device = 0; reading.addresses && device < DEVICES_MAX; device++)
                read_device(&reading, device);
        *ret_addresses = reading.addresses;
        *ret_n = reading.n;
}
