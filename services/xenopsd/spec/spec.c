/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "spec.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <systemd/sd-id128.h>

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define ARGUMENT_SIZE 96u
#define MAC_TRIES 32u                   /* of 16 million: even with the most VMs there can be, the second is free */

static int refuse(struct idl_error *error, const char *name, const char *value, const char *limit) {
        return idl_error_set_invalid_argument(error, name, value, limit);
}

static int refuse_number(struct idl_error *error, const char *name, uint64_t value, const char *limit) {
        char text[24];

        snprintf(text, sizeof text, "%" PRIu64, value);
        return refuse(error, name, text, limit);
}

static int no_memory(struct idl_error *error, const char *name) {
        return errno == E2BIG ? idl_error_set_limit_exceeded(error, name, IDL_ARENA_MAX + UINT64_C(1), IDL_ARENA_MAX)
                              : idl_error_set_out_of_memory(error, name);
}

/* Single values */

int spec_uuid(const char *text, char *ret_uuid) {
        static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

        for (size_t i = 0; i < sizeof pattern; i++) {
                if (pattern[i] == 'x' ? !text[i] || !strchr(DIGITS "abcdefABCDEF", text[i]) : text[i] != pattern[i])
                        return -EINVAL;
                ret_uuid[i] = text[i] >= 'A' && text[i] <= 'F' ? (char) (text[i] - 'A' + 'a') : text[i];
        }
        return 0;
}

static bool consists_of(const char *value, const char *characters, size_t max) {
        size_t n = strspn(value, characters);

        return n > 0 && n <= max && value[n] == '\0';
}

int spec_check_name(const char *name, const char *value, struct idl_error *error) {
        if (!consists_of(value, LETTERS DIGITS "._-", SPEC_NAME_MAX) || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
                return refuse(error, name, value, "has to be 1 to 64 letters, digits, dots, dashes and underscores");
        return 0;
}

int spec_check_description(const char *name, const char *value, struct idl_error *error) {
        return strlen(value) > SPEC_DESCRIPTION_MAX ? refuse(error, name, value, "has to have at most 4096 bytes") : 0;
}

static int check_entries(const char *name, const struct xcp_dict_s_s_entry *entries, size_t n, size_t max, struct idl_error *error) {
        if (n > max)
                return idl_error_set_limit_exceeded(error, name, n, max);
        for (size_t i = 0; i < n; i++) {
                if (strlen(entries[i].key) == 0 || strlen(entries[i].key) > SPEC_LABEL_NAME_MAX)
                        return refuse(error, name, entries[i].key, "has to be named with 1 to 256 bytes");
                if (strlen(entries[i].value) > SPEC_LABEL_MAX)
                        return refuse(error, name, entries[i].value, "has to have at most 4096 bytes");
                for (size_t k = 0; k < i; k++)
                        if (strcmp(entries[i].key, entries[k].key) == 0)
                                return refuse(error, name, entries[i].key, "is there twice");
        }
        return 0;
}

int spec_check_labels(const char *name, const struct xcp_dict_s_s_entry *labels, size_t n_labels, struct idl_error *error) {
        return check_entries(name, labels, n_labels, SPEC_LABELS_MAX, error);
}

int spec_check_memory(const char *name, uint64_t memory, struct idl_error *error) {
        if (memory == 0 || memory % SPEC_MEMORY_UNIT != 0)
                return refuse_number(error, name, memory, "has to be a multiple of 1 MiB (1048576), and not 0");
        return memory > SPEC_MEMORY_MAX ? idl_error_set_bytes_exceeded(error, name, memory, SPEC_MEMORY_MAX) : 0;
}

int spec_check_vcpus(const char *name, uint32_t vcpus, struct idl_error *error) {
        if (vcpus == 0)
                return refuse_number(error, name, vcpus, "has to be at least 1");
        return vcpus > SPEC_VCPUS_MAX ? idl_error_set_limit_exceeded(error, name, vcpus, SPEC_VCPUS_MAX) : 0;
}

int spec_check_autostart_delay(const char *name, uint32_t ms, struct idl_error *error) {
        return ms > SPEC_AUTOSTART_DELAY_MAX ? idl_error_set_limit_exceeded(error, name, ms, SPEC_AUTOSTART_DELAY_MAX) : 0;
}

int spec_check_network_name(const char *name, const char *value, struct idl_error *error) {
        if (!consists_of(value, LETTERS DIGITS "._-", SPEC_NAME_MAX) || value[0] == '-' || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
                return refuse(error, name, value, "has to be 1 to 64 letters, digits, dots, dashes and underscores, and no dash first");
        return 0;
}

int spec_check_vdi(const char *name, const char *value, struct idl_error *error) {
        if (strncmp(value, SPEC_VDI_PREFIX, strlen(SPEC_VDI_PREFIX)) != 0 || value[strlen(SPEC_VDI_PREFIX)] == '\0')
                return refuse(error, name, value, "has to be an object below " SPEC_VDI_PREFIX);
        return 0;
}

static int check_path(const char *name, const char *value, struct idl_error *error) {
        if (value[0] != '/' || strlen(value) > SPEC_PATH_MAX)
                return refuse(error, name, value, "has to begin with / and have at most 4095 bytes");
        return 0;
}

static int check_mac(const char *name, const char *value, struct idl_error *error) {
        static const char pattern[] = "xx:xx:xx:xx:xx:xx";

        for (size_t i = 0; i < sizeof pattern; i++)
                if (pattern[i] == 'x' ? !value[i] || !strchr(DIGITS "abcdefABCDEF", value[i]) : value[i] != pattern[i])
                        return refuse(error, name, value, "has to be six pairs of hexadecimal digits with colons between");
        if (strchr("13579bdfBDF", value[1]) || strspn(value, "0:") == strlen(value))
                return refuse(error, name, value, "has to be the address of one interface, and not of a group");
        return 0;
}

bool spec_is_kept(const struct xcp_disk_spec *disk) {
        return disk->vdi && disk->kind == XCP_DISK_KIND_DISK && disk->mode == XCP_DISK_MODE_READ_WRITE;
}

uint64_t spec_memory_max(const struct xcp_vm_spec *spec) {
        return spec->has_memory_max ? spec->memory_max : spec->memory;
}

uint32_t spec_vcpus_max(const struct xcp_vm_spec *spec) {
        return spec->has_vcpus_max ? spec->vcpus_max : spec->vcpus;
}

/* Names and addresses of devices */

static bool disk_is_named(const struct xcp_vm_spec *spec, const char *name) {
        for (size_t i = 0; i < spec->n_disks; i++)
                if (spec->disks[i].name && strcmp(spec->disks[i].name, name) == 0)
                        return true;
        return false;
}

static bool network_is_named(const struct xcp_vm_spec *spec, const char *name) {
        for (size_t i = 0; i < spec->n_network_interfaces; i++)
                if (spec->network_interfaces[i].name && strcmp(spec->network_interfaces[i].name, name) == 0)
                        return true;
        return false;
}

/* The first of disk0, disk1, ... that is free: one of the first n + 1 is. */
static const char *choose_name(const struct xcp_vm_spec *spec, bool (*is_named)(const struct xcp_vm_spec *spec, const char *name),
                               const char *prefix, struct idl_arena *arena) {
        char name[SPEC_DEVICE_NAME_MAX + 1];

        for (unsigned i = 0;; i++) {
                snprintf(name, sizeof name, "%s%u", prefix, i);
                if (!is_named(spec, name))
                        return idl_arena_strdup(arena, name);
        }
}

static int check_device_name(const char *name, const char *value, struct idl_error *error) {
        if (!consists_of(value, LETTERS DIGITS "-", SPEC_DEVICE_NAME_MAX))
                return refuse(error, name, value, "has to be 1 to 32 letters, digits and dashes");
        return 0;
}

static bool has_mac(const struct xcp_vm_spec *spec, const char *mac) {
        for (size_t i = 0; i < spec->n_network_interfaces; i++)
                if (spec->network_interfaces[i].mac && strcasecmp(spec->network_interfaces[i].mac, mac) == 0)
                        return true;
        return false;
}

/* One of Xen's own addresses, that neither this VM nor another has. */
static const char *choose_mac(const struct xcp_vm_spec *spec, const struct spec_defaults *defaults, struct idl_arena *arena) {
        char mac[18];

        for (unsigned i = 0; i < MAC_TRIES; i++) {
                sd_id128_t random;

                if (sd_id128_randomize(&random) < 0)
                        break;
                snprintf(mac, sizeof mac, "00:16:3e:%02x:%02x:%02x", random.bytes[0], random.bytes[1], random.bytes[2]);
                if (!has_mac(spec, mac) && !(defaults->has_mac && defaults->has_mac(defaults->userdata, mac)))
                        return idl_arena_strdup(arena, mac);
        }
        errno = ENOMEM;
        return NULL;
}

static const char *lower(struct idl_arena *arena, const char *text) {
        char *copy = idl_arena_strdup(arena, text);

        for (char *p = copy; p && *p; p++)
                if (*p >= 'A' && *p <= 'F')
                        *p = (char) (*p - 'A' + 'a');
        return copy;
}

/* Devices */

__attribute__((format(printf, 2, 3))) static const char *argument(char *text, const char *format, ...) {
        va_list args;

        va_start(args, format);
        vsnprintf(text, ARGUMENT_SIZE, format, args);
        va_end(args);
        return text;
}

static int check_limit(const char *name, const char *key, bool is_there, uint64_t limit, struct idl_error *error) {
        char text[ARGUMENT_SIZE];

        if (!is_there || (limit > 0 && limit <= SPEC_LIMIT_MAX))
                return 0;
        return refuse_number(error, argument(text, "%s.%s", name, key), limit, "has to be 1 to 1000000000000000");
}

static int check_boot_index(const struct xcp_vm_spec *spec, const char *name, bool is_there, uint32_t index, struct idl_error *error) {
        char text[ARGUMENT_SIZE];
        bool is_taken = false;

        if (!is_there)
                return 0;
        argument(text, "%s.boot_index", name);
        for (size_t i = 0; i < spec->n_disks; i++)
                is_taken |= spec->disks[i].has_boot_index && spec->disks[i].boot_index == index;
        for (size_t i = 0; i < spec->n_network_interfaces; i++)
                is_taken |= spec->network_interfaces[i].has_boot_index && spec->network_interfaces[i].boot_index == index;
        if (is_taken)
                return refuse_number(error, text, index, "is that of another device of this VM already");
        return index > SPEC_BOOT_INDEX_MAX ? idl_error_set_limit_exceeded(error, text, index, SPEC_BOOT_INDEX_MAX) : 0;
}

/* A VM reads and writes a VDI as one reader: a second disk of it would have no claim of its own, and two write caches one disk. */
int spec_check_is_new_vdi(const struct xcp_vm_spec *spec, const char *name, const char *vdi, struct idl_error *error) {
        for (size_t i = 0; i < spec->n_disks; i++)
                if (spec->disks[i].vdi && strcmp(spec->disks[i].vdi, vdi) == 0)
                        return refuse(error, name, vdi, "is another disk of this VM already");
        return 0;
}

static int check_disk_source(const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk, const char *name, struct idl_error *error) {
        char text[ARGUMENT_SIZE];
        int r = 0;

        if (disk->vdi && disk->path)
                return refuse(error, argument(text, "%s.path", name), disk->path, "cannot be there beside a vdi");
        if (!disk->vdi && !disk->path && disk->kind != XCP_DISK_KIND_CD_ROM)
                return refuse(error, name, disk->name ?: "", "has to have a vdi or a path, as it is no CdRom");
        if (disk->vdi)
                r = spec_check_vdi(argument(text, "%s.vdi", name), disk->vdi, error);
        if (disk->vdi && r >= 0)
                r = spec_check_is_new_vdi(spec, text, disk->vdi, error);
        if (disk->path)
                r = check_path(argument(text, "%s.path", name), disk->path, error);
        return r;
}

int spec_complete_disk(const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk, const char *name, struct idl_arena *arena,
                       struct xcp_disk_spec *ret_disk, struct idl_error *error) {
        struct xcp_disk_spec complete = *disk;
        char text[ARGUMENT_SIZE];
        int r;

        r = check_disk_source(spec, disk, name, error);
        if (r >= 0)
                r = check_limit(name, "rate_limit", disk->has_rate_limit, disk->rate_limit, error);
        if (r >= 0)
                r = check_limit(name, "iops_limit", disk->has_iops_limit, disk->iops_limit, error);
        if (r >= 0)
                r = check_boot_index(spec, name, disk->has_boot_index, disk->boot_index, error);
        if (r < 0)
                return r;
        if (complete.kind == XCP_DISK_KIND_CD_ROM)
                complete.mode = XCP_DISK_MODE_READ_ONLY;
        if (complete.name) {
                r = check_device_name(argument(text, "%s.name", name), complete.name, error);
                if (r < 0)
                        return r;
                if (disk_is_named(spec, complete.name))
                        return idl_error_set_already_exists(error, "disk", complete.name);
        } else {
                complete.name = choose_name(spec, disk_is_named, "disk", arena);
                if (!complete.name)
                        return no_memory(error, name);
        }
        *ret_disk = complete;
        return 0;
}

static int check_addresses(const struct xcp_network_interface_spec *network, const char *name, struct idl_error *error) {
        char text[ARGUMENT_SIZE], item[24];
        struct in6_addr address;

        if (network->n_addresses > SPEC_ADDRESSES_MAX)
                return idl_error_set_limit_exceeded(error, argument(text, "%s.addresses", name), network->n_addresses, SPEC_ADDRESSES_MAX);
        for (size_t i = 0; i < network->n_addresses; i++) {
                const char *one = network->addresses[i];

                if (inet_pton(AF_INET, one, &address) > 0 || inet_pton(AF_INET6, one, &address) > 0)
                        continue;
                snprintf(item, sizeof item, "[%zu]", i);
                return refuse(error, argument(text, "%s.addresses%s", name, item), one, "has to be an IPv4 or IPv6 address");
        }
        return 0;
}

static int check_network(const struct xcp_network_interface_spec *network, const char *name, struct idl_error *error) {
        char text[ARGUMENT_SIZE];
        int r;

        r = spec_check_network_name(argument(text, "%s.network", name), network->network, error);
        if (r >= 0 && network->mac)
                r = check_mac(argument(text, "%s.mac", name), network->mac, error);
        if (r >= 0 && network->name)
                r = check_device_name(argument(text, "%s.name", name), network->name, error);
        if (r >= 0 && network->has_mtu && (network->mtu < SPEC_MTU_MIN || network->mtu > SPEC_MTU_MAX))
                r = refuse_number(error, argument(text, "%s.mtu", name), network->mtu, "has to be 68 to 65535");
        return r < 0 ? r : check_addresses(network, name, error);
}

int spec_complete_network(const struct xcp_vm_spec *spec, const struct xcp_network_interface_spec *network,
                          const struct spec_defaults *defaults, const char *name, struct idl_arena *arena,
                          struct xcp_network_interface_spec *ret_network, struct idl_error *error) {
        struct xcp_network_interface_spec complete = *network;
        int r;

        r = check_network(network, name, error);
        if (r >= 0)
                r = check_boot_index(spec, name, network->has_boot_index, network->boot_index, error);
        if (r < 0)
                return r;
        if (complete.name && network_is_named(spec, complete.name))
                return idl_error_set_already_exists(error, "network interface", complete.name);
        if (complete.mac && has_mac(spec, complete.mac))
                return idl_error_set_already_exists(error, "MAC address", complete.mac);
        if (!complete.name)
                complete.name = choose_name(spec, network_is_named, "net", arena);
        complete.mac = complete.mac ? lower(arena, complete.mac) : choose_mac(spec, defaults, arena);
        if (!complete.name || !complete.mac)
                return no_memory(error, name);
        *ret_network = complete;
        return 0;
}

/*
 * Named devices are there before names are chosen for others: the list is gone through twice, with what is complete at its beginning
 * moved to where it belongs.
 */
static int complete_disks(struct xcp_vm_spec *spec, const struct xcp_disk_spec *given, size_t n, struct idl_arena *arena,
                          struct idl_error *error) {
        struct xcp_disk_spec *disks;
        char text[ARGUMENT_SIZE];
        int r;

        if (n > SPEC_DISKS_MAX)
                return idl_error_set_limit_exceeded(error, "spec.disks", n, SPEC_DISKS_MAX);
        disks = idl_arena_alloc(arena, n + 1, sizeof *disks);
        if (!disks)
                return no_memory(error, "spec.disks");
        spec->disks = disks;
        spec->n_disks = n;
        for (unsigned named = 2; named-- > 0;)
                for (size_t i = 0; i < n; i++) {
                        if (!!given[i].name != !!named)
                                continue;
                        r = spec_complete_disk(spec, given + i, argument(text, "spec.disks[%zu]", i), arena, disks + i, error);
                        if (r < 0)
                                return r;
                }
        return 0;
}

static int complete_networks(struct xcp_vm_spec *spec, const struct xcp_network_interface_spec *given, size_t n,
                             const struct spec_defaults *defaults, struct idl_arena *arena, struct idl_error *error) {
        struct xcp_network_interface_spec *networks;
        char text[ARGUMENT_SIZE];
        int r;

        if (n > SPEC_NETWORK_INTERFACES_MAX)
                return idl_error_set_limit_exceeded(error, "spec.network_interfaces", n, SPEC_NETWORK_INTERFACES_MAX);
        networks = idl_arena_alloc(arena, n + 1, sizeof *networks);
        if (!networks)
                return no_memory(error, "spec.network_interfaces");
        spec->network_interfaces = networks;
        spec->n_network_interfaces = n;
        for (unsigned named = 2; named-- > 0;)
                for (size_t i = 0; i < n; i++) {
                        if (!!given[i].name != !!named)
                                continue;
                        r = spec_complete_network(spec, given + i, defaults, argument(text, "spec.network_interfaces[%zu]", i), arena,
                                                  networks + i, error);
                        if (r < 0)
                                return r;
                }
        return 0;
}

/* All of it */

static int check_boot(const struct xcp_vm_spec *spec, struct idl_error *error) {
        const struct {
                const char *name, *value;
        } files[] = { { "spec.kernel", spec->kernel }, { "spec.initramfs", spec->initramfs } };
        int r;

        if (spec->firmware == XCP_FIRMWARE_KERNEL && !spec->kernel)
                return refuse(error, "spec.firmware", "Kernel", "needs a kernel");
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                if (!files[i].value)
                        continue;
                if (spec->firmware != XCP_FIRMWARE_KERNEL)
                        return refuse(error, files[i].name, files[i].value, "goes with firmware Kernel only");
                r = check_path(files[i].name, files[i].value, error);
                if (r < 0)
                        return r;
        }
        if (spec->command_line && spec->firmware != XCP_FIRMWARE_KERNEL)
                return refuse(error, "spec.command_line", spec->command_line, "goes with firmware Kernel only");
        if (spec->command_line && strlen(spec->command_line) > SPEC_COMMAND_LINE_MAX)
                return refuse(error, "spec.command_line", spec->command_line, "has to have at most 4096 bytes");
        return 0;
}

static int check_size(const struct xcp_vm_spec *spec, struct idl_error *error) {
        int r;

        r = spec_check_memory("spec.memory", spec->memory, error);
        if (r >= 0 && spec->has_memory_max)
                r = spec_check_memory("spec.memory_max", spec->memory_max, error);
        if (r >= 0 && spec_memory_max(spec) < spec->memory)
                r = refuse_number(error, "spec.memory_max", spec->memory_max, "has to be at least memory");
        if (r >= 0)
                r = spec_check_vcpus("spec.vcpus", spec->vcpus, error);
        if (r >= 0 && spec->has_vcpus_max)
                r = spec_check_vcpus("spec.vcpus_max", spec->vcpus_max, error);
        if (r >= 0 && spec_vcpus_max(spec) < spec->vcpus)
                r = refuse_number(error, "spec.vcpus_max", spec->vcpus_max, "has to be at least vcpus");
        return r;
}

static int complete_uuid(const char *given, struct idl_arena *arena, const char **ret_uuid, struct idl_error *error) {
        char uuid[SD_ID128_UUID_STRING_MAX];
        sd_id128_t id;
        int r;

        if (given) {
                if (spec_uuid(given, uuid) < 0)
                        return refuse(error, "spec.uuid", given, "has to be a UUID, as in 01234567-89ab-cdef-0123-456789abcdef");
        } else {
                r = sd_id128_randomize(&id);
                if (r < 0)
                        return r;
                sd_id128_to_uuid_string(id, uuid);
        }
        *ret_uuid = idl_arena_strdup(arena, uuid);
        return *ret_uuid ? 0 : no_memory(error, "spec.uuid");
}

int spec_complete(const struct xcp_vm_spec *spec, const struct spec_defaults *defaults, struct idl_arena *arena,
                  struct xcp_vm_spec *ret_spec, struct idl_error *error) {
        struct xcp_vm_spec complete = *spec;
        int r;

        r = spec_check_name("spec.name", spec->name, error);
        if (r >= 0)
                r = complete_uuid(spec->uuid, arena, &complete.uuid, error);
        if (r >= 0)
                r = spec_check_description("spec.description", spec->description, error);
        if (r >= 0)
                r = check_size(spec, error);
        if (r >= 0)
                r = check_boot(spec, error);
        if (r >= 0)
                r = spec_check_autostart_delay("spec.autostart_delay_ms", spec->autostart_delay_ms, error);
        if (r >= 0)
                r = spec_check_labels("spec.labels", spec->labels, spec->n_labels, error);
        if (r >= 0)
                r = check_entries("spec.backend_options", spec->backend_options, spec->n_backend_options, SPEC_OPTIONS_MAX, error);
        if (r >= 0)
                r = complete_disks(&complete, spec->disks, spec->n_disks, arena, error);
        if (r >= 0)
                r = complete_networks(&complete, spec->network_interfaces, spec->n_network_interfaces, defaults, arena, error);
        if (r < 0)
                return r;
        if (!complete.backend)
                complete.backend = defaults->backend;
        *ret_spec = complete;
        return 0;
}
