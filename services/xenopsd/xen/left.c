/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "left.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libxl_utils.h>

#define SCRIPT "/bin/true"              /* which joins it to no bridge */

static bool is_left(const struct xen_facts_device *device) {
        return !device->is_disk && !device->is_plugged && device->is_left;
}

static int compare(const void *a, const void *b) {
        return ((const libxl_device_nic *) a)->devid - ((const libxl_device_nic *) b)->devid;
}

static int add(libxl_domain_config *config, const struct xen_facts_device *device) {
        libxl_device_nic *nics = reallocarray(config->nics, (size_t) config->num_nics + 1, sizeof *nics), *nic;

        if (!nics)
                return -ENOMEM;
        config->nics = nics;
        nic = nics + config->num_nics++;
        libxl_device_nic_init(nic);
        nic->devid = (int) device->index;
        nic->nictype = LIBXL_NIC_TYPE_VIF_IOEMU;
        nic->script = strdup(SCRIPT);
        return nic->script ? 0 : -ENOMEM;
}

/* QEMU knows what it saved of each by its place on the PCI bus, which they get one after the other. */
int xen_left_add(libxl_domain_config *config, const struct xen_facts *there) {
        int n = config->num_nics, r = 0;

        for (size_t i = 0; i < there->n_devices && r >= 0; i++)
                if (is_left(there->devices + i))
                        r = add(config, there->devices + i);
        if (config->num_nics > n)
                qsort(config->nics, (size_t) config->num_nics, sizeof *config->nics, compare);
        return r;
}

static int remove_nic(libxl_ctx *ctx, uint32_t domid, int devid) {
        libxl_device_nic nic;
        int rc;

        rc = libxl_devid_to_device_nic(ctx, domid, devid, &nic);
        if (rc != 0)
                return rc;
        rc = libxl_device_nic_destroy(ctx, domid, &nic, NULL);
        libxl_device_nic_dispose(&nic);
        return rc;
}

int xen_left_remove(libxl_ctx *ctx, uint32_t domid, const struct xen_facts *there) {
        int rc = 0;

        for (size_t i = 0; i < there->n_devices && rc == 0; i++)
                if (is_left(there->devices + i))
                        rc = remove_nic(ctx, domid, (int) there->devices[i].index);
        return rc;
}
