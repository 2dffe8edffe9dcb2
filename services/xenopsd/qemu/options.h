/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The backend_options of a QEMU guest. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor.h"

#define QEMU_ID_SIZE 48u                /* of a device's identifier: disk- or net-, and its name of at most 32 bytes */
#define QEMU_HOTPLUG_SLOTS_MAX 16u
#define QEMU_SLOTS_MAX (HYPERVISOR_DEVICES_MAX + QEMU_HOTPLUG_SLOTS_MAX)
#define QEMU_PC_SLOTS 26u               /* of the 32 addresses of a pc's bus, those that nothing else has */

enum qemu_machine { QEMU_Q35 = 1, QEMU_PC, QEMU_MICROVM };
enum qemu_accelerator { QEMU_AUTO = 1, QEMU_TCG, QEMU_KVM };
enum qemu_data_path { QEMU_FILE = 1, QEMU_NBD, QEMU_VHOST_USER };
enum qemu_display { QEMU_NO_DISPLAY = 1, QEMU_VNC };
enum qemu_watchdog { QEMU_NO_WATCHDOG = 1, QEMU_I6300ESB, QEMU_IB700 };

struct qemu_options {
        enum qemu_machine machine;
        enum qemu_accelerator accelerator;
        enum qemu_watchdog watchdog;
        enum qemu_data_path data_path;
        enum qemu_display display;
        const char *cpu;                /* NULL: what is best with the accelerator. Of the entries */
        unsigned hotplug_slots;
};

extern const struct hypervisor_option qemu_option_list[];

/* Reads them. With error: InvalidArgument, which says what is wrong. */
int qemu_options_read(struct qemu_options *ret_options, const struct xcp_dict_s_s_entry *entries, size_t n_entries,
                      struct idl_error *error);

const char *qemu_machine_to_string(enum qemu_machine machine);
int qemu_machine_from_string(const char *text, enum qemu_machine *ret_machine);
const char *qemu_accelerator_to_string(enum qemu_accelerator accelerator);
