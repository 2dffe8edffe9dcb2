/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vcpus.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xenstore.h>

#include "spec-limits.h"

/* A domain cannot write there: it is libxl's word (libxl_create.c, "cpu"). */
static bool is_online(struct xs_handle *store, uint32_t domid, const char *cpu) {
        char path[96];
        char *availability;
        unsigned n;
        bool is;

        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/cpu/%.8s/availability", domid, cpu);
        availability = xs_read(store, XBT_NULL, path, &n);
        is = availability && strcmp(availability, "online") == 0;
        free(availability);
        return is;
}

/* A PVH guest is one of HVM to Xen: libxl knows. */
static bool is_told(struct xs_handle *store, uint32_t domid) {
        char path[64];
        char *type;
        unsigned n;
        bool is;

        snprintf(path, sizeof path, "/libxl/%" PRIu32 "/type", domid);
        type = xs_read(store, XBT_NULL, path, &n);
        is = type && (strcmp(type, "pv") == 0 || strcmp(type, "pvh") == 0);
        free(type);
        return is;
}

uint32_t vcpus_read(struct xs_handle *store, uint32_t domid) {
        char path[64];
        char **cpus;
        unsigned n = 0;
        uint32_t n_online = 0;

        if (!is_told(store, domid))
                return 0;
        snprintf(path, sizeof path, "/local/domain/%" PRIu32 "/cpu", domid);
        cpus = xs_directory(store, XBT_NULL, path, &n);
        for (unsigned i = 0; cpus && i < n && i < SPEC_VCPUS_MAX; i++)
                if (is_online(store, domid, cpus[i]))
                        n_online++;
        free(cpus);
        return n_online;
}
