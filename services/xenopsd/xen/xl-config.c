/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xl-config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxlutil.h>

#include "cleanup.h"

#define MIB UINT64_C(1048576)
#define RATE_SECONDS 1000000u

struct reader {
        XLU_Config *config;
        struct idl_arena *arena;
        struct xcp_vm_spec *spec;
        FILE *left;
        struct idl_error *error;
        const char *name;
};

static int bad(struct reader *reader, const char *key, const char *value, const char *why) {
        return idl_error_set_invalid_argument(reader->error, key, value, why);
}

/* Values */

static const char *get(struct reader *reader, const char *key) {
        const char *value;

        return xlu_cfg_get_string(reader->config, key, &value, 1) == 0 ? value : NULL;
}

static int copy(struct reader *reader, const char *value, const char **ret_copy) {
        *ret_copy = value ? idl_arena_strdup(reader->arena, value) : NULL;
        return value && !*ret_copy ? -ENOMEM : 0;
}

/* 0: it is not there. */
static int get_number(struct reader *reader, const char *key, long *ret_number) {
        int r;

        r = xlu_cfg_get_long(reader->config, key, ret_number, 1);
        if (r == ESRCH)
                return 0;
        if (r != 0 || *ret_number <= 0)
                return bad(reader, key, get(reader, key) ?: "", "has to be a number above 0");
        return 1;
}

/* What it is */

static int read_type(struct reader *reader) {
        static const struct {
                const char *word;
                enum xcp_vm_kind kind;
        } types[] = { { "pv", XCP_VM_KIND_PV }, { "pvh", XCP_VM_KIND_PVH }, { "hvm", XCP_VM_KIND_HVM }, { "generic", XCP_VM_KIND_PV } };
        const char *type = get(reader, "type") ?: get(reader, "builder") ?: "pv";       /* as xl has it */

        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
                if (strcmp(types[i].word, type) == 0) {
                        reader->spec->kind = types[i].kind;
                        return 0;
                }
        return bad(reader, "type", type, "has to be pv, pvh or hvm");
}

static int read_sizes(struct reader *reader) {
        struct xcp_vm_spec *spec = reader->spec;
        long number;
        int r;

        r = get_number(reader, "memory", &number);
        if (r > 0)
                spec->memory = (uint64_t) number * MIB;
        if (r >= 0 && (r = get_number(reader, "maxmem", &number)) > 0) {
                spec->has_memory_max = true;
                spec->memory_max = (uint64_t) number * MIB;
        }
        if (r >= 0 && (r = get_number(reader, "vcpus", &number)) > 0)
                spec->vcpus = number < UINT32_MAX ? (uint32_t) number : UINT32_MAX;
        if (r >= 0 && (r = get_number(reader, "maxvcpus", &number)) > 0) {
                spec->has_vcpus_max = true;
                spec->vcpus_max = number < UINT32_MAX ? (uint32_t) number : UINT32_MAX;
        }
        return r < 0 ? r : 0;
}

/* The kernel's command line: one key has it all, or two have it together. */
static int read_command_line(struct reader *reader) {
        const char *cmdline = get(reader, "cmdline"), *root = get(reader, "root"), *extra = get(reader, "extra");
        AUTO_FREE char *both = NULL;

        if (cmdline || (!root && !extra))
                return copy(reader, cmdline, &reader->spec->command_line);
        if (asprintf(&both, "%s%s%s%s", root ? "root=" : "", root ?: "", root && extra ? " " : "", extra ?: "") < 0) {
                both = NULL;
                return -ENOMEM;
        }
        return copy(reader, both, &reader->spec->command_line);
}

static int read_boot(struct reader *reader) {
        struct xcp_vm_spec *spec = reader->spec;
        const char *bios = get(reader, "bios") ?: get(reader, "firmware");
        int r;

        if (get(reader, "bootloader"))
                return bad(reader, "bootloader", get(reader, "bootloader"), "cannot be used: name a kernel, as pvgrub's");
        r = copy(reader, get(reader, "kernel"), &spec->kernel);
        if (r >= 0)
                r = copy(reader, get(reader, "ramdisk"), &spec->initramfs);
        if (r >= 0)
                r = read_command_line(reader);
        if (r < 0)
                return r;
        if (spec->kernel)
                spec->firmware = XCP_FIRMWARE_KERNEL;
        else if (spec->kind != XCP_VM_KIND_HVM)
                return bad(reader, "kernel", "", "has to be there for a PV or PVH guest");
        else
                spec->firmware = bios && (strcmp(bios, "ovmf") == 0 || strcmp(bios, "uefi") == 0) ? XCP_FIRMWARE_UEFI : XCP_FIRMWARE_BIOS;
        return 0;
}

/* What is done when it ends. "preserve" and the rename and core dump variants keep it. */
static enum xcp_guest_action read_action(struct reader *reader, const char *key, enum xcp_guest_action if_absent) {
        const char *action = get(reader, key);

        if (!action)
                return if_absent;
        if (strstr(action, "restart") || strcmp(action, "soft-reset") == 0)
                return XCP_GUEST_ACTION_RESTART;
        return strcmp(action, "preserve") == 0 ? XCP_GUEST_ACTION_PRESERVE : XCP_GUEST_ACTION_HALT;
}

/* Disks */

static bool is_raw(libxl_disk_format format) {
        return format == LIBXL_DISK_FORMAT_RAW || format == LIBXL_DISK_FORMAT_UNKNOWN || format == LIBXL_DISK_FORMAT_EMPTY;
}

static int read_disk(struct reader *reader, const char *text, struct xcp_disk_spec *disk) {
        libxl_device_disk parsed;
        int r;

        libxl_device_disk_init(&parsed);
        r = xlu_disk_parse(reader->config, 1, &text, &parsed);
        *disk = (struct xcp_disk_spec) {
                .kind = parsed.is_cdrom ? XCP_DISK_KIND_CD_ROM : XCP_DISK_KIND_DISK,
                .mode = parsed.readwrite ? XCP_DISK_MODE_READ_WRITE : XCP_DISK_MODE_READ_ONLY,
        };
        if (r != 0)
                r = bad(reader, "disk", text, "is no disk specification, xl-disk-configuration(5)");
        else if (!is_raw(parsed.format))
                r = bad(reader, "disk", text, "has to be raw; a disk of another format is one of the storage service's");
        else {
                if (parsed.script)
                        fprintf(reader->left, "the script of disk '%s'\n", text);
                r = copy(reader, parsed.pdev_path && parsed.pdev_path[0] ? parsed.pdev_path : NULL, &disk->path);
        }
        libxl_device_disk_dispose(&parsed);
        return r;
}

static int read_disks(struct reader *reader) {
        struct xcp_disk_spec *disks;
        XLU_ConfigList *list;
        int n = 0, r = 0;

        if (xlu_cfg_get_list(reader->config, "disk", &list, &n, 1) != 0 || n == 0)
                return 0;
        disks = idl_arena_alloc(reader->arena, (size_t) n, sizeof *disks);
        if (!disks)
                return -ENOMEM;
        for (int i = 0; i < n && r >= 0; i++) {
                const char *text = xlu_cfg_get_listitem(list, i);

                r = text ? read_disk(reader, text, disks + i) : bad(reader, "disk", "a list", "has to be text");
        }
        reader->spec->disks = disks;
        reader->spec->n_disks = (size_t) n;
        return r;
}

/* Network interfaces: key=value, with commas between */

static int read_rate(struct reader *reader, const char *value, struct xcp_network_interface_spec *network) {
        libxl_device_nic nic;
        int r;

        libxl_device_nic_init(&nic);
        r = xlu_vif_parse_rate(reader->config, value, &nic) == 0 && nic.rate_interval_usecs > 0 ? 0 : -EINVAL;
        if (r >= 0) {
                network->has_rate_limit = true;
                network->rate_limit = nic.rate_bytes_per_interval * RATE_SECONDS / nic.rate_interval_usecs;
        }
        libxl_device_nic_dispose(&nic);
        return r < 0 ? bad(reader, "vif", value, "is no rate, as 10Mb/s@50ms") : 0;
}

static int read_network_word(struct reader *reader, char *word, struct xcp_network_interface_spec *network) {
        char *value = strchr(word, '=');
        char *end;

        if (!value)
                return bad(reader, "vif", word, "has to be key=value");
        *value++ = '\0';
        if (strcmp(word, "mac") == 0)
                return copy(reader, value, &network->mac);
        if (strcmp(word, "bridge") == 0)
                return copy(reader, value, &network->network);
        if (strcmp(word, "rate") == 0)
                return read_rate(reader, value, network);
        if (strcmp(word, "mtu") == 0) {
                unsigned long mtu = strtoul(value, &end, 10);

                network->has_mtu = true;
                network->mtu = (uint32_t) mtu;
                return *value && !*end && mtu <= UINT16_MAX ? 0 : bad(reader, "vif", value, "is no MTU");
        }
        fprintf(reader->left, "%s of a network interface, '%s'\n", word, value);
        return 0;
}

static int read_network(struct reader *reader, const char *text, struct xcp_network_interface_spec *network) {
        AUTO_FREE char *words = strdup(text);
        char *state = NULL;
        int r = 0;

        if (!words)
                return -ENOMEM;
        *network = (struct xcp_network_interface_spec) { .network = "xenbr0", .carrier = true };        /* as xl has it */
        for (char *word = strtok_r(words, ",", &state); word && r >= 0; word = strtok_r(NULL, ",", &state))
                r = read_network_word(reader, word + strspn(word, " "), network);
        return r;
}

static int read_networks(struct reader *reader) {
        struct xcp_network_interface_spec *networks;
        XLU_ConfigList *list;
        int n = 0, r = 0;

        if (xlu_cfg_get_list(reader->config, "vif", &list, &n, 1) != 0 || n == 0)
                return 0;
        networks = idl_arena_alloc(reader->arena, (size_t) n, sizeof *networks);
        if (!networks)
                return -ENOMEM;
        for (int i = 0; i < n && r >= 0; i++) {
                const char *text = xlu_cfg_get_listitem(list, i);

                r = text ? read_network(reader, text, networks + i) : bad(reader, "vif", "a list", "has to be text");
        }
        reader->spec->network_interfaces = networks;
        reader->spec->n_network_interfaces = (size_t) n;
        return r;
}

/* All of it */

/* Keys that people use and that a VM has no place for. Libxlutil cannot list what a file has. */
static void name_left(struct reader *reader) {
        static const char *const keys[] = {
                "acpi", "apic", "audio", "boot", "channel", "claim_mode", "console", "cpu_weight", "cpuid", "cpus", "device_model_args",
                "device_model_override", "device_tree", "driver_domain", "dtdev", "hap", "hpet", "init_seclabel", "ioports", "irqs",
                "iomem", "keymap", "localtime", "max_grant_frames", "memory_hotplug", "nestedhvm", "nics", "nomigrate", "numa_placement",
                "on_poweroff", "on_watchdog", "p9", "passthrough", "pci", "pool", "rdm", "rtc_timeoffset", "sdl", "seclabel",
                "shadow_memory", "soundhw", "spice", "stdvga", "tsc_mode", "usb", "usbctrl", "usbdev", "usbdevice", "vfb", "vga",
                "videoram", "viridian", "vkb", "vnc", "vnuma", "vscsi", "vtpm",
        };

        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
                XLU_ConfigList *list;
                int n;

                if (get(reader, keys[i]) || xlu_cfg_get_list(reader->config, keys[i], &list, &n, 1) == 0)
                        fprintf(reader->left, "%s\n", keys[i]);
        }
}

/* One serial line that is a terminal is what an HVM guest has anyway. */
static void name_serial(struct reader *reader) {
        const char *serial = get(reader, "serial");
        XLU_ConfigList *list;
        int n;

        if (!serial && xlu_cfg_get_list(reader->config, "serial", &list, &n, 1) == 0)
                serial = n == 1 ? xlu_cfg_get_listitem(list, 0) ?: "" : "";
        if (serial && strcmp(serial, "pty") != 0)
                fputs("serial\n", reader->left);
}

static int read_all(struct reader *reader) {
        struct xcp_vm_spec *spec = reader->spec;
        int r;

        if (!get(reader, "name"))
                return bad(reader, "name", "", "has to be there");
        r = copy(reader, get(reader, "name"), &spec->name);
        if (r >= 0)
                r = copy(reader, get(reader, "uuid"), &spec->uuid);
        if (r >= 0)
                r = read_type(reader);
        if (r >= 0)
                r = read_sizes(reader);
        if (r >= 0)
                r = read_boot(reader);
        if (r >= 0)
                r = read_disks(reader);
        if (r >= 0)
                r = read_networks(reader);
        spec->on_crash = read_action(reader, "on_crash", XCP_GUEST_ACTION_HALT);
        spec->on_reboot = read_action(reader, "on_reboot", XCP_GUEST_ACTION_RESTART);
        name_left(reader);
        name_serial(reader);
        return r;
}

/* What the parser has to say has the name of the file and the number of the line. */
static int parse(struct reader *reader, const char *text, size_t size, FILE *report) {
        if (size > INT_MAX)
                return -E2BIG;
        reader->config = xlu_cfg_init(report, reader->name);
        if (!reader->config)
                return -ENOMEM;
        return xlu_cfg_readdata(reader->config, text, (int) size) == 0 ? 0 : -EBADMSG;
}

int xl_config_read(const char *text, size_t size, const char *name, struct idl_arena *arena, struct xcp_vm_spec *ret_spec, char **ret_left,
                   struct idl_error *error) {
        struct xcp_vm_spec spec = { .description = "", .backend = "xen", .memory = 256 * MIB, .vcpus = 1 };
        struct reader reader = { .arena = arena, .spec = &spec, .error = error, .name = name };
        AUTO_FREE char *left = NULL, *said = NULL;
        size_t n_left, n_said;
        FILE *report;
        int r = -ENOMEM;

        reader.left = open_memstream(&left, &n_left);
        report = open_memstream(&said, &n_said);
        if (reader.left && report)
                r = parse(&reader, text, size, report);
        if (r >= 0)
                r = read_all(&reader);
        if (reader.config)
                xlu_cfg_destroy(reader.config);
        if (reader.left)
                fclose(reader.left);
        if (report)
                fclose(report);
        if (r == -EBADMSG)
                r = idl_error_set_invalid_argument(error, name, said && said[0] ? strtok(said, "\n") : "", "is no configuration of xl's");
        if (r < 0)
                return r;
        *ret_spec = spec;
        *ret_left = left;
        left = NULL;
        return 0;
}
