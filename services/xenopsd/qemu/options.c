/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_DEFAULT 4u
#define CPU_MAX 256u                    /* bytes of a model and its features */

const struct hypervisor_option qemu_option_list[] = {
        { "machine", "q35 (the default), pc, or microvm, which has no PCI and boots a kernel only." },
        { "accelerator", "auto (the default): kvm where it has been seen to work, or tcg; kvm; or tcg, which is software." },
        { "cpu", "The model of its virtual CPUs and their features, as QEMU's -cpu has it; the best there is if absent." },
        { "display", "vnc, a screen, keyboard and mouse as the console vnc0; or none (the default)." },
        { "watchdog", "i6300esb or ib700, and none (the default)." },
        { "data-path", "How disks of the storage service are reached: file (the default), what there is without a server; nbd; or vhost-user." },
        { "hotplug-slots", "How many devices can be plugged into a q35 while it runs, 0 to 16; 4 if absent." },
        { NULL },
};

static const char *const machines[] = { [QEMU_Q35] = "q35", [QEMU_PC] = "pc", [QEMU_MICROVM] = "microvm" };
static const char *const accelerators[] = { [QEMU_AUTO] = "auto", [QEMU_TCG] = "tcg", [QEMU_KVM] = "kvm" };
static const char *const watchdogs[] = { [QEMU_NO_WATCHDOG] = "none", [QEMU_I6300ESB] = "i6300esb", [QEMU_IB700] = "ib700" };
static const char *const displays[] = { [QEMU_NO_DISPLAY] = "none", [QEMU_VNC] = "vnc" };
static const char *const data_paths[] = { [QEMU_FILE] = "file", [QEMU_NBD] = "nbd", [QEMU_VHOST_USER] = "vhost-user" };

#define N(list) (sizeof(list) / sizeof(list)[0])

/* Its place in a list that begins at 1, or 0. */
static unsigned find(const char *const *list, size_t n, const char *text) {
        for (unsigned i = 1; i < n; i++)
                if (strcmp(list[i], text) == 0)
                        return i;
        return 0;
}

const char *qemu_machine_to_string(enum qemu_machine machine) {
        return machines[machine];
}

int qemu_machine_from_string(const char *text, enum qemu_machine *ret_machine) {
        unsigned i = find(machines, N(machines), text);

        if (i == 0)
                return -EINVAL;
        *ret_machine = i;
        return 0;
}

const char *qemu_accelerator_to_string(enum qemu_accelerator accelerator) {
        return accelerators[accelerator];
}

static int refuse(const char *name, const char *value, const char *limit, struct idl_error *error) {
        char text[96];

        snprintf(text, sizeof text, "spec.backend_options.%.64s", name);
        return idl_error_set_invalid_argument(error, text, value, limit);
}

/* What -cpu takes, and nothing that would begin another option. */
static bool is_cpu(const char *text) {
        size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.,=+");

        return isalnum((unsigned char) text[0]) && text[n] == '\0' && n <= CPU_MAX;
}

static int read_slots(const char *value, unsigned *ret_slots) {
        size_t n = strspn(value, "0123456789");

        if (n == 0 || n > 2 || value[n] != '\0')
                return -EINVAL;
        *ret_slots = (unsigned) strtoul(value, NULL, 10);
        return *ret_slots <= QEMU_HOTPLUG_SLOTS_MAX ? 0 : -EINVAL;
}

static int read_one(struct qemu_options *options, const char *name, const char *value, struct idl_error *error) {
        if (strcmp(name, "machine") == 0)
                return (options->machine = find(machines, N(machines), value))
                               ? 0 : refuse(name, value, "has to be q35, pc or microvm", error);
        if (strcmp(name, "accelerator") == 0)
                return (options->accelerator = find(accelerators, N(accelerators), value))
                               ? 0 : refuse(name, value, "has to be auto, kvm or tcg", error);
        if (strcmp(name, "watchdog") == 0)
                return (options->watchdog = find(watchdogs, N(watchdogs), value))
                               ? 0 : refuse(name, value, "has to be i6300esb, ib700 or none", error);
        if (strcmp(name, "data-path") == 0)
                return (options->data_path = find(data_paths, N(data_paths), value))
                               ? 0 : refuse(name, value, "has to be file, nbd or vhost-user", error);
        if (strcmp(name, "display") == 0)
                return (options->display = find(displays, N(displays), value)) ? 0 : refuse(name, value, "has to be vnc or none", error);
        if (strcmp(name, "hotplug-slots") == 0)
                return read_slots(value, &options->hotplug_slots) < 0 ? refuse(name, value, "has to be 0 to 16", error) : 0;
        if (strcmp(name, "cpu") != 0)
                return refuse(name, value, "is no option of qemu", error);
        if (!is_cpu(value))
                return refuse(name, value, "has to be a model as QEMU's -cpu has it", error);
        options->cpu = value;
        return 0;
}

int qemu_options_read(struct qemu_options *ret_options, const struct xcp_dict_s_s_entry *entries, size_t n_entries,
                      struct idl_error *error) {
        struct qemu_options options = { .machine = QEMU_Q35, .accelerator = QEMU_AUTO, .watchdog = QEMU_NO_WATCHDOG,
                                        .data_path = QEMU_FILE, .display = QEMU_NO_DISPLAY, .hotplug_slots = SLOTS_DEFAULT };
        int r;

        for (size_t i = 0; i < n_entries; i++) {
                r = read_one(&options, entries[i].key, entries[i].value, error);
                if (r < 0)
                        return r;
        }
        if (options.machine == QEMU_MICROVM && options.watchdog != QEMU_NO_WATCHDOG)
                return refuse("watchdog", watchdogs[options.watchdog], "has to be none with a microvm", error);
        if (options.machine == QEMU_MICROVM && options.display != QEMU_NO_DISPLAY)
                return refuse("display", displays[options.display], "has to be none with a microvm", error);
        *ret_options = options;
        return 0;
}
