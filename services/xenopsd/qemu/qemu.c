/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accelerator.h"
#include "boot-id.h"
#include "cleanup.h"
#include "command-line.h"
#include "devices.h"
#include "forward.h"
#include "operations.h"
#include "source.h"
#include "stream.h"

#define PROGRAM "qemu-system-x86_64"

static void qemu_close(void *backend) {
        struct qemu *qemu = backend;

        accelerator_free(qemu->accelerator);
        if (qemu->directory_fd >= 0)
                close(qemu->directory_fd);
        free(qemu->program);
        free(qemu);
}

/* $XCP_QEMU, or where distributions have it. */
static int find_program(char **ret_program) {
        static const char *const directories[] = { "/usr/local/bin", "/usr/bin" };
        const char *given = secure_getenv("XCP_QEMU");

        *ret_program = NULL;
        if (given) {
                *ret_program = strdup(given);
                return *ret_program ? 0 : -ENOMEM;
        }
        for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
                char path[64];

                snprintf(path, sizeof path, "%s/" PROGRAM, directories[i]);
                if (access(path, X_OK) == 0) {
                        *ret_program = strdup(path);
                        return *ret_program ? 0 : -ENOMEM;
                }
        }
        return 0;
}

static int qemu_open(const struct hypervisor_host *host, void **ret_backend) {
        struct qemu *qemu = calloc(1, sizeof *qemu);
        int r;

        if (!qemu)
                return -ENOMEM;
        ticks_begin(&qemu->ticks);
        qemu->host = *host;
        qemu->host.state_dir = NULL;    /* it is not kept */
        qemu->directory_fd = open(host->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = qemu->directory_fd < 0 ? -errno : boot_id_read(qemu->boot_id, sizeof qemu->boot_id);
        if (r >= 0)
                r = find_program(&qemu->program);
        if (r >= 0)
                r = accelerator_new(&qemu->accelerator, host->event, qemu->directory_fd, qemu->boot_id, qemu->program ?: "");
        if (r < 0) {
                qemu_close(qemu);
                return r;
        }
        guest_kill_halves(qemu);
        *ret_backend = qemu;
        return 0;
}

static bool qemu_available(void *backend, const char **ret_version, const char **ret_reason) {
        const struct qemu *qemu = backend;

        *ret_version = "";
        *ret_reason = qemu->program ? "" : "there is no " PROGRAM " (Debian has it in qemu-system-x86)";
        return qemu->program && access(qemu->program, X_OK) == 0;
}

/* Configurations */

static int check_networks(const struct xcp_vm_spec *spec, struct idl_error *error) {
        for (size_t i = 0; i < spec->n_network_interfaces; i++) {
                char name[64];

                if (!spec->network_interfaces[i].has_rate_limit)
                        continue;
                snprintf(name, sizeof name, "spec.network_interfaces[%zu].rate_limit", i);
                return idl_error_set_invalid_argument(error, name, "a limit", "cannot be had with qemu");
        }
        return 0;
}

/* Requests to a disk over vhost-user do not pass through QEMU. */
static int check_limits(const struct xcp_vm_spec *spec, const struct qemu_options *options, struct idl_error *error) {
        for (size_t i = 0; i < spec->n_disks; i++) {
                const struct xcp_disk_spec *disk = spec->disks + i;
                char name[64];

                if (!source_has_limits(disk) || !disk->vdi || source_kinds(options, disk, true)[0] != XCP_DATA_PATH_KIND_VHOST_USER)
                        continue;
                snprintf(name, sizeof name, "spec.disks[%zu].%s_limit", i, disk->has_rate_limit ? "rate" : "iops");
                return idl_error_set_invalid_argument(error, name, "a limit", "cannot be had with data-path=vhost-user");
        }
        return 0;
}

static int check_disks(const struct xcp_vm_spec *spec, const struct qemu_options *options, struct idl_error *error) {
        size_t n_cdroms = 0;
        int r;

        r = check_limits(spec, options, error);
        if (r < 0)
                return r;
        for (size_t i = 0; i < spec->n_disks; i++)
                n_cdroms += spec->disks[i].kind == XCP_DISK_KIND_CD_ROM;
        if (n_cdroms > 0 && options->machine == QEMU_MICROVM)
                return idl_error_set_invalid_argument(error, "spec.disks", "CdRom", "cannot be had in a microvm");
        return n_cdroms > DEVICES_CDROMS_MAX ? idl_error_set_limit_exceeded(error, "CD drives", n_cdroms, DEVICES_CDROMS_MAX) : 0;
}

static int qemu_check(void *backend, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct qemu_options options;
        int r;

        if (spec->kind != XCP_VM_KIND_AUTO && spec->kind != XCP_VM_KIND_HVM)
                return idl_error_set_invalid_argument(error, "spec.kind", xcp_vm_kind_to_string(spec->kind), "has to be Auto or Hvm with qemu");
        r = qemu_options_read(&options, spec->backend_options, spec->n_backend_options, error);
        if (r < 0)
                return r;
        if (options.machine == QEMU_MICROVM && spec->firmware != XCP_FIRMWARE_KERNEL)
                return idl_error_set_invalid_argument(error, "spec.firmware", xcp_firmware_to_string(spec->firmware),
                                                      "has to be Kernel with a microvm");
        r = check_networks(spec, error);
        return r < 0 ? r : check_disks(spec, &options, error);
}

static const enum xcp_data_path_kind *qemu_disk_paths(void *backend, const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk,
                                                      bool is_served) {
        struct idl_error ignored = IDL_ERROR_NULL;
        struct qemu_options options;
        int r;

        r = qemu_options_read(&options, spec->backend_options, spec->n_backend_options, &ignored);
        idl_error_done(&ignored);
        return r < 0 ? NULL : source_kinds(&options, disk, is_served);
}

static int qemu_connect_console(void *guest, const char *name, int *ret_fd) {
        return guest_connect(guest, name, ret_fd);
}

static const char *const features[] = { "agent", "hotplug", "migrate", "save", "uefi", NULL };

static const enum xcp_data_path_kind paths[] = { XCP_DATA_PATH_KIND_FILE, XCP_DATA_PATH_KIND_BLOCK_DEVICE, 0 };

static const struct xcp_console_info consoles[] = { { "serial0", XCP_CONSOLE_KIND_SERIAL }, { NULL, 0 } };

static const struct xcp_console_info *qemu_vm_consoles(void *backend, const struct xcp_vm_spec *spec) {
        static const struct xcp_console_info with_display[] = { { "serial0", XCP_CONSOLE_KIND_SERIAL },
                                                                { COMMAND_LINE_VNC, XCP_CONSOLE_KIND_VNC }, { NULL, 0 } };
        struct idl_error ignored = IDL_ERROR_NULL;
        struct qemu_options options;
        int r;

        r = qemu_options_read(&options, spec->backend_options, spec->n_backend_options, &ignored);
        idl_error_done(&ignored);
        return r >= 0 && options.display == QEMU_VNC ? with_display : NULL;
}

const struct hypervisor qemu_hypervisor = {
        .name = "qemu",
        .features = features,
        .options = qemu_option_list,
        .paths = paths,
        .disk_paths = qemu_disk_paths,
        .consoles = consoles,
        .vm_consoles = qemu_vm_consoles,
        .starts_per_cpu = 2,
        .open = qemu_open,
        .close = qemu_close,
        .available = qemu_available,
        .check = qemu_check,
        .sweep = guest_sweep,
        .guest_new = guest_new,
        .guest_free = guest_free,
        .forget = guest_forget,
        .cancel = action_cancel,
        .query = operation_query,
        .prepare = operation_prepare,
        .start = operation_start,
        .stop = operation_stop,
        .reboot = operation_reboot,
        .reset = operation_reset,
        .suspend = operation_suspend,
        .resume = operation_resume,
        .destroy = operation_destroy,
        .power_button = operation_power_button,
        .save = stream_save,
        .restore = stream_restore,
        .send = stream_send,
        .receive = stream_receive,
        .set_memory = resize_set_memory,
        .set_vcpus = vcpus_set,
        .plug_disk = hotplug_plug_disk,
        .unplug_disk = hotplug_unplug_disk,
        .change_medium = medium_change,
        .plug_network = hotplug_plug_network,
        .unplug_network = hotplug_unplug_network,
        .move_network = hotplug_move_network,
        .set_network = hotplug_set_network,
        .statistics = statistics_vm,
        .disk_statistics = statistics_disk,
        .network_statistics = statistics_network,
        .open_port = forward_open_port,
        .connect_console = qemu_connect_console,
};
