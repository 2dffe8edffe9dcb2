/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "firmware.h"
#include "spec.h"

#define RATE_INTERVAL_USEC 50000u       /* as xl has it if nobody says otherwise */
#define BOOT_SIZE 4u

/* Checks */

libxl_domain_type xen_config_type(const struct xcp_vm_spec *spec) {
        switch (spec->kind) {
        case XCP_VM_KIND_PV:
                return LIBXL_DOMAIN_TYPE_PV;
        case XCP_VM_KIND_PVH:
                return LIBXL_DOMAIN_TYPE_PVH;
        case XCP_VM_KIND_HVM:
                return LIBXL_DOMAIN_TYPE_HVM;
        default:
                return spec->firmware == XCP_FIRMWARE_KERNEL ? LIBXL_DOMAIN_TYPE_PVH : LIBXL_DOMAIN_TYPE_HVM;
        }
}

int xen_config_check_network(const struct xcp_network_interface_spec *spec, const char *name, struct idl_error *error) {
        if (strcmp(spec->network, "user") == 0)
                return idl_error_set_invalid_argument(error, name, "user", "has to be the name of a bridge with xen");
        if (!spec->carrier)
                return idl_error_set_invalid_argument(error, name, "carrier: false", "cannot be had with xen");
        return 0;
}

static int check_disks(const struct xcp_vm_spec *spec, struct idl_error *error) {
        size_t n_cdroms = 0;

        for (size_t i = 0; i < spec->n_disks; i++) {
                if (spec->disks[i].has_rate_limit || spec->disks[i].has_iops_limit)
                        return idl_error_set_invalid_argument(error, "spec.disks", "a limit", "cannot be had with xen");
                n_cdroms += spec->disks[i].kind == XCP_DISK_KIND_CD_ROM;
        }
        if (n_cdroms > 0 && xen_config_type(spec) != LIBXL_DOMAIN_TYPE_HVM)
                return idl_error_set_invalid_argument(error, "spec.disks", "CdRom", "cannot be had in PV and PVH guests");
        return n_cdroms > CONFIG_DISKS_HVM_MAX ? idl_error_set_limit_exceeded(error, "CD drives", n_cdroms, CONFIG_DISKS_HVM_MAX) : 0;
}

int xen_config_check(const struct xcp_vm_spec *spec, struct idl_error *error) {
        char name[64];
        int r = 0;

        if (xen_config_type(spec) != LIBXL_DOMAIN_TYPE_HVM && spec->firmware != XCP_FIRMWARE_KERNEL)
                return idl_error_set_invalid_argument(error, "spec.firmware", xcp_firmware_to_string(spec->firmware),
                                                      "has to be Kernel with PV and PVH guests");
        for (size_t i = 0; i < spec->n_network_interfaces && r >= 0; i++) {
                snprintf(name, sizeof name, "spec.network_interfaces[%zu]", i);
                r = xen_config_check_network(spec->network_interfaces + i, name, error);
        }
        return r < 0 ? r : check_disks(spec, error);
}

/* Small things. Libxl's structures own their strings. */

static int copy(char **to, const char *text) {
        if (!text)
                return 0;
        *to = strdup(text);
        return *to ? 0 : -ENOMEM;
}

/* The letters of a disk: a to z, aa to zz. */
void xen_config_name_vdev(libxl_domain_type type, uint32_t index, char *ret_vdev) {
        bool is_emulated = type == LIBXL_DOMAIN_TYPE_HVM && index < CONFIG_DISKS_HVM_MAX;
        char *p = ret_vdev + sprintf(ret_vdev, "%s", is_emulated ? "hd" : "xvd");

        index %= 26 * 27;
        if (index >= 26)
                *p++ = (char) ('a' + index / 26 - 1);
        *p++ = (char) ('a' + index % 26);
        *p = '\0';
}

static const char *parameter(const struct xcp_data_path *path, const char *name) {
        for (size_t i = 0; i < path->n_parameters; i++)
                if (strcmp(path->parameters[i].key, name) == 0)
                        return path->parameters[i].value;
        return NULL;
}

/* Devices */

/* The driver is left to libxl: the kernel's for block devices and raw files, which its script puts a loop device before. */
static int point_disk(libxl_device_disk *device, const struct xcp_data_path *path, struct idl_error *error) {
        const char *format = parameter(path, "format");

        if (path->kind != XCP_DATA_PATH_KIND_FILE && path->kind != XCP_DATA_PATH_KIND_BLOCK_DEVICE && path->kind != XCP_DATA_PATH_KIND_XEN_BLOCK)
                return idl_error_set_not_supported(error, "this way to a disk");
        if (parameter(path, "offset") || parameter(path, "size"))
                return idl_error_set_not_supported(error, "a disk that is a part of a file");
        device->format = format && strcmp(format, "qcow2") == 0 ? LIBXL_DISK_FORMAT_QCOW2 : LIBXL_DISK_FORMAT_RAW;
        device->backend_domid = path->has_backend_domain ? path->backend_domain : 0;
        return copy(&device->pdev_path, path->path);
}

int xen_config_make_disk(libxl_device_disk *ret_disk, libxl_domain_type type, const struct hypervisor_disk *disk, uint32_t index,
                     struct idl_error *error) {
        bool is_cdrom = disk->spec->kind == XCP_DISK_KIND_CD_ROM;
        char vdev[CONFIG_VDEV_SIZE];
        int r;

        libxl_device_disk_init(ret_disk);
        xen_config_name_vdev(type, index, vdev);
        ret_disk->is_cdrom = is_cdrom;
        ret_disk->removable = is_cdrom;
        ret_disk->readwrite = !is_cdrom && disk->spec->mode == XCP_DISK_MODE_READ_WRITE;
        ret_disk->format = LIBXL_DISK_FORMAT_EMPTY;
        r = copy(&ret_disk->vdev, vdev);
        if (r >= 0 && disk->path)
                r = point_disk(ret_disk, disk->path, error);
        if (r < 0)
                libxl_device_disk_dispose(ret_disk);
        return r;
}

int xen_config_make_network(libxl_device_nic *ret_nic, libxl_domain_type type, const struct xcp_network_interface_spec *spec,
                            uint32_t index) {
        unsigned mac[6] = {};
        int r;

        libxl_device_nic_init(ret_nic);
        ret_nic->devid = (int) index;
        ret_nic->nictype = type == LIBXL_DOMAIN_TYPE_HVM ? LIBXL_NIC_TYPE_VIF_IOEMU : LIBXL_NIC_TYPE_VIF;
        if (spec->mac && sscanf(spec->mac, "%2x:%2x:%2x:%2x:%2x:%2x", mac, mac + 1, mac + 2, mac + 3, mac + 4, mac + 5) == 6)
                for (size_t i = 0; i < 6; i++)
                        ret_nic->mac[i] = (uint8_t) mac[i];
        if (spec->has_mtu)
                ret_nic->mtu = (int) spec->mtu;
        if (spec->has_rate_limit) {
                ret_nic->rate_interval_usecs = RATE_INTERVAL_USEC;
                ret_nic->rate_bytes_per_interval = spec->rate_limit / (1000000 / RATE_INTERVAL_USEC);
        }
        r = copy(&ret_nic->bridge, spec->network);
        if (r < 0)
                libxl_device_nic_dispose(ret_nic);
        return r;
}

/* Where a device is: where it was, or where there is room. */
static int place(struct xen_facts *facts, bool is_disk, const char *name, uint32_t *ret_index) {
        struct xen_facts_device *device = xen_facts_find(facts, is_disk, name);
        int r = device ? 0 : xen_facts_add(facts, is_disk, name, &device);

        if (r >= 0)
                *ret_index = device->index;
        return r;
}

static bool is_unplugged(struct xen_facts *facts, bool is_disk, const char *name) {
        const struct xen_facts_device *device = xen_facts_find(facts, is_disk, name);

        return device && !device->is_plugged;
}

/* The disk that the BIOS is to boot from, of which it takes the first: NULL if it is that anyway, or if drives take all the places. */
static const struct xcp_disk_spec *find_boot_disk(const struct xcp_vm_spec *spec) {
        const struct xcp_disk_spec *first = NULL, *best = NULL;
        size_t n_cdroms = 0;

        for (size_t i = 0; i < spec->n_disks; i++) {
                const struct xcp_disk_spec *disk = spec->disks + i;

                if (disk->kind == XCP_DISK_KIND_CD_ROM) {
                        n_cdroms++;
                        continue;
                }
                first = first ?: disk;
                if (disk->has_boot_index && (!best || disk->boot_index < best->boot_index))
                        best = disk;
        }
        return best == first || n_cdroms >= CONFIG_DISKS_HVM_MAX ? NULL : best;
}

static void place_boot_disk(const struct xcp_vm_spec *spec, struct xen_facts *facts) {
        const struct xcp_disk_spec *disk = find_boot_disk(spec);
        uint32_t index;

        if (disk && xen_config_type(spec) == LIBXL_DOMAIN_TYPE_HVM)
                (void) place(facts, true, disk->name, &index);
}

/* Drives come first, as only the first few disks have an emulated controller, which a drive has to have. */
static void place_cdroms(const struct xcp_vm_spec *spec, struct xen_facts *facts) {
        uint32_t index;

        for (size_t i = 0; i < spec->n_disks; i++)
                if (spec->disks[i].kind == XCP_DISK_KIND_CD_ROM)
                        (void) place(facts, true, spec->disks[i].name, &index);    /* what does not fit is refused when it is added */
}

static int add_disks(libxl_domain_config *config, const struct hypervisor_config *from, struct xen_facts *facts,
                     struct idl_error *error) {
        const struct xcp_vm_spec *spec = from->spec;
        int r = 0;

        if (spec->n_disks == 0)
                return 0;
        config->disks = calloc(spec->n_disks, sizeof *config->disks);
        if (!config->disks)
                return -ENOMEM;
        place_boot_disk(spec, facts);
        place_cdroms(spec, facts);
        for (size_t i = 0; i < spec->n_disks && r >= 0; i++) {
                uint32_t index;

                if (is_unplugged(facts, true, spec->disks[i].name))
                        continue;
                r = place(facts, true, spec->disks[i].name, &index);
                if (r >= 0)
                        r = xen_config_make_disk(config->disks + config->num_disks, config->c_info.type, from->disks + i, index, error);
                if (r >= 0)
                        config->num_disks++;
        }
        return r;
}

static int add_networks(libxl_domain_config *config, const struct xcp_vm_spec *spec, struct xen_facts *facts) {
        int r = 0;

        if (spec->n_network_interfaces == 0)
                return 0;
        config->nics = calloc(spec->n_network_interfaces, sizeof *config->nics);
        if (!config->nics)
                return -ENOMEM;
        for (size_t i = 0; i < spec->n_network_interfaces && r >= 0; i++) {
                const struct xcp_network_interface_spec *network = spec->network_interfaces + i;
                uint32_t index;

                if (is_unplugged(facts, false, network->name))
                        continue;
                r = place(facts, false, network->name, &index);
                if (r >= 0)
                        r = xen_config_make_network(config->nics + config->num_nics, config->c_info.type, network, index);
                if (r >= 0)
                        config->num_nics++;
        }
        return r;
}

/* The domain */

/* CPUs that are there at first. */
static int set_vcpus(libxl_domain_build_info *info, const struct xcp_vm_spec *spec) {
        uint32_t max = spec_vcpus_max(spec);

        info->max_vcpus = (int) max;
        info->avail_vcpus.size = (max + 7) / 8;
        info->avail_vcpus.map = calloc(info->avail_vcpus.size, 1);
        if (!info->avail_vcpus.map)
                return -ENOMEM;
        for (uint32_t i = 0; i < spec->vcpus; i++)
                info->avail_vcpus.map[i / 8] |= (uint8_t) (1u << i % 8);
        return 0;
}

/* What a BIOS boots from: c, d and n for disk, disc and network, in the order of the first of each. */
static void order_boot(const struct xcp_vm_spec *spec, char *ret_boot) {
        uint64_t first[3] = { UINT64_C(1) << 33, (UINT64_C(1) << 33) + 1, UINT64_MAX };     /* networks only if they are asked to */
        static const char letters[] = "cdn";
        size_t n = 0;

        for (size_t i = 0; i < spec->n_disks; i++) {
                uint64_t *p = first + (spec->disks[i].kind == XCP_DISK_KIND_CD_ROM);

                if (spec->disks[i].has_boot_index && spec->disks[i].boot_index < *p)
                        *p = spec->disks[i].boot_index;
        }
        for (size_t i = 0; i < spec->n_network_interfaces; i++)
                if (spec->network_interfaces[i].has_boot_index && spec->network_interfaces[i].boot_index < first[2])
                        first[2] = spec->network_interfaces[i].boot_index;
        for (;;) {
                size_t best = first[0] <= first[1] ? 0 : 1;

                best = first[2] < first[best] ? 2 : best;
                if (first[best] == UINT64_MAX)
                        break;
                ret_boot[n++] = letters[best];
                first[best] = UINT64_MAX;
        }
        ret_boot[n] = '\0';
}

/* A guest of this kind has a serial line; a screen only if it is given one (screen.h). */
static int set_hvm(libxl_domain_build_info *info, const struct xcp_vm_spec *spec) {
        char boot[BOOT_SIZE];
        int r;

        order_boot(spec, boot);
        info->u.hvm.bios = spec->firmware == XCP_FIRMWARE_UEFI ? LIBXL_BIOS_TYPE_OVMF : LIBXL_BIOS_TYPE_SEABIOS;
        libxl_defbool_set(&info->u.hvm.nographic, false);  /* by which SeaBIOS would take the serial line for a keyboard */
        libxl_defbool_set(&info->u.hvm.vnc.enable, false);
        info->u.hvm.vga.kind = LIBXL_VGA_INTERFACE_TYPE_NONE;
        r = copy(&info->u.hvm.serial, "pty");
        if (r >= 0 && spec->firmware == XCP_FIRMWARE_UEFI)
                r = copy(&info->u.hvm.system_firmware, xen_firmware_uefi());
        return r < 0 ? r : copy(&info->u.hvm.boot, boot);
}

static int set_build_info(libxl_domain_build_info *info, libxl_domain_type type, const struct xcp_vm_spec *spec) {
        int r;

        libxl_domain_build_info_init_type(info, type);
        info->max_memkb = spec_memory_max(spec) / 1024;
        info->target_memkb = spec->memory / 1024;
        r = set_vcpus(info, spec);
        if (r >= 0)
                r = copy(&info->kernel, spec->kernel);
        if (r >= 0)
                r = copy(&info->ramdisk, spec->initramfs);
        if (r >= 0)
                r = copy(&info->cmdline, spec->command_line);
        return r >= 0 && type == LIBXL_DOMAIN_TYPE_HVM ? set_hvm(info, spec) : r;
}

static int make(libxl_domain_config *config, const struct hypervisor_config *from, const char *name, struct xen_facts *facts,
                struct idl_error *error) {
        const struct xcp_vm_spec *spec = from->spec;
        int r;

        config->c_info.type = xen_config_type(spec);
        if (libxl_uuid_from_string(&config->c_info.uuid, spec->uuid) != 0)
                return -EINVAL;
        r = copy(&config->c_info.name, name);
        if (r >= 0)
                r = set_build_info(&config->b_info, config->c_info.type, spec);
        if (r >= 0)
                r = add_disks(config, from, facts, error);
        return r < 0 ? r : add_networks(config, spec, facts);
}

int xen_config_make(libxl_domain_config *ret_config, const struct hypervisor_config *config, const char *name, struct xen_facts *facts,
                struct idl_error *error) {
        int r;

        libxl_domain_config_init(ret_config);
        r = make(ret_config, config, name, facts, error);
        if (r < 0)
                libxl_domain_config_dispose(ret_config);
        return r;
}

/* Moving */

static libxl_device_disk *find_disk(libxl_domain_config *config, uint32_t index) {
        char vdev[CONFIG_VDEV_SIZE];

        xen_config_name_vdev(config->c_info.type, index, vdev);
        for (int i = 0; i < config->num_disks; i++)
                if (strcmp(config->disks[i].vdev, vdev) == 0)
                        return config->disks + i;
        return NULL;
}

static libxl_device_nic *find_network(libxl_domain_config *config, uint32_t index) {
        for (int i = 0; i < config->num_nics; i++)
                if (config->nics[i].devid == (int) index)
                        return config->nics + i;
        return NULL;
}

static void drop_disk(libxl_domain_config *config, libxl_device_disk *disk) {
        libxl_device_disk *last = config->disks + --config->num_disks;

        libxl_device_disk_dispose(disk);
        if (disk != last)
                *disk = *last;
}

static void drop_network(libxl_domain_config *config, libxl_device_nic *nic) {
        libxl_device_nic *last = config->nics + --config->num_nics;

        libxl_device_nic_dispose(nic);
        if (nic != last)
                *nic = *last;
}

/* Those that are not there any more go first, as the others are found by where they are. */
static void drop_unplugged(libxl_domain_config *config, struct xen_facts *facts, struct xen_facts *there) {
        for (size_t i = 0; i < facts->n_devices; i++) {
                const struct xen_facts_device *device = facts->devices + i;
                libxl_device_disk *disk = device->is_disk ? find_disk(config, device->index) : NULL;
                libxl_device_nic *nic = device->is_disk ? NULL : find_network(config, device->index);

                if (!is_unplugged(there, device->is_disk, device->name))
                        continue;
                if (disk)
                        drop_disk(config, disk);
                if (nic)
                        drop_network(config, nic);
        }
}

int xen_config_move(libxl_domain_config *config, struct xen_facts *facts, struct xen_facts *there) {
        libxl_device_disk *disks[HYPERVISOR_DEVICES_MAX] = {};
        libxl_device_nic *nics[HYPERVISOR_DEVICES_MAX] = {};
        int r = 0;

        drop_unplugged(config, facts, there);
        for (size_t i = 0; i < facts->n_devices; i++)
                if (facts->devices[i].is_disk)
                        disks[i] = find_disk(config, facts->devices[i].index);
                else
                        nics[i] = find_network(config, facts->devices[i].index);
        for (size_t i = 0; i < facts->n_devices && r >= 0; i++) {
                const struct xen_facts_device *device = facts->devices + i;
                char vdev[CONFIG_VDEV_SIZE];
                uint32_t index;

                r = place(there, device->is_disk, device->name, &index);
                if (r >= 0 && disks[i]) {
                        xen_config_name_vdev(config->c_info.type, index, vdev);
                        free(disks[i]->vdev);
                        disks[i]->vdev = NULL;
                        r = copy(&disks[i]->vdev, vdev);
                } else if (r >= 0 && nics[i])
                        nics[i]->devid = (int) index;
        }
        return r;
}
