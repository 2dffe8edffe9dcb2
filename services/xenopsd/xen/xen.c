/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "xen.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "action.h"
#include "boot-id.h"
#include "config.h"
#include "guest.h"
#include "hotplug.h"
#include "nearby.h"
#include "operations.h"
#include "screen.h"
#include "statistics.h"
#include "store-watch.h"
#include "stream.h"

#define PRIVCMD "/dev/xen/privcmd"      /* by which a toolstack asks Xen */

static void xen_close(void *backend) {
        struct xen *xen = backend;

        workers_free(xen->workers);
        xen_loop_free(xen->loop);
        store_watch_free(xen->watch);
        nearby_free(xen->nearby);
        if (xen->directory_fd >= 0)
                close(xen->directory_fd);
        free(xen);
}

static int read_version(struct xen *xen) {
        const libxl_version_info *info;
        struct xen_logger *logger;
        libxl_ctx *ctx;
        int r;

        r = xen_context_new(&ctx, &logger, false);
        if (r < 0)
                return r;
        info = libxl_get_version_info(ctx);
        if (info)
                snprintf(xen->version, sizeof xen->version, "%d.%d%.32s", info->xen_version_major, info->xen_version_minor,
                         info->xen_version_extra ?: "");
        xen_context_free(ctx, logger);
        return info ? 0 : -EIO;
}

/* What is wanted of Xen, or why that cannot be had. */
static void use_xen(struct xen *xen) {
        if (access(PRIVCMD, R_OK | W_OK) < 0)
                xen->reason = errno == ENOENT ? "this is no domain of Xen: there is no " PRIVCMD : "this process may not use " PRIVCMD;
        else if (read_version(xen) < 0)
                xen->reason = "libxl cannot be used: is this the toolstack's domain, does xenstored run, and is libxl of Xen's version?";
        else if (store_watch_new(&xen->watch, xen->host.event) < 0)
                xen->reason = "xenstored cannot be reached";
        else if (nearby_new(&xen->nearby, xen->host.event) < 0 || xen_loop_new(&xen->loop, xen->host.event) < 0 ||
                 workers_new(&xen->workers, xen->host.event) < 0)
                xen->reason = "libxl cannot be used";
}

static int xen_open(const struct hypervisor_host *host, void **ret_backend) {
        struct xen *xen = calloc(1, sizeof *xen);
        int r;

        if (!xen)
                return -ENOMEM;
        xen->host = *host;
        xen->host.state_dir = NULL;     /* it is not kept */
        xen->directory_fd = open(host->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        r = xen->directory_fd < 0 ? -errno : boot_id_read(xen->boot_id, sizeof xen->boot_id);
        if (r < 0) {
                xen_close(xen);
                return r;
        }
        use_xen(xen);
        *ret_backend = xen;
        return 0;
}

static bool xen_available(void *backend, const char **ret_version, const char **ret_reason) {
        const struct xen *xen = backend;

        *ret_version = xen->version;
        *ret_reason = xen->reason ?: "";
        return !xen->reason;
}

static int xen_check(void *backend, const struct xcp_vm_spec *spec, struct idl_error *error) {
        int r = xen_screen_check(spec, error);

        return r < 0 ? r : xen_config_check(spec, error);
}

static const struct hypervisor_option options[] = {
        { "display", "vnc, a screen, keyboard and mouse as the console vnc0, of an HVM guest; or none (the default)." },
        { NULL, NULL },
};

static const char *const features[] = { "hotplug", "kernel", "migrate", "save", "uefi", NULL };

static const enum xcp_data_path_kind paths[] = { XCP_DATA_PATH_KIND_XEN_BLOCK, XCP_DATA_PATH_KIND_BLOCK_DEVICE, XCP_DATA_PATH_KIND_FILE, 0 };

/*
 * A disc is a file, if it can be: what libxl inserts while the guest runs it hands to QEMU as a descriptor that stands for a file (/dev/fdset),
 * which QEMU does not take for a block device.
 */
static const enum xcp_data_path_kind *xen_disk_paths(void *backend, const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk, bool is_served) {
        static const enum xcp_data_path_kind of_discs[] = { XCP_DATA_PATH_KIND_FILE, XCP_DATA_PATH_KIND_BLOCK_DEVICE, XCP_DATA_PATH_KIND_XEN_BLOCK, 0 };

        return disk->kind == XCP_DISK_KIND_CD_ROM ? of_discs : NULL;
}

static const struct xcp_console_info consoles[] = { { "serial0", XCP_CONSOLE_KIND_SERIAL }, { NULL, 0 } };

static const struct xcp_console_info *xen_vm_consoles(void *backend, const struct xcp_vm_spec *spec) {
        static const struct xcp_console_info with_screen[] = { { "serial0", XCP_CONSOLE_KIND_SERIAL }, { SCREEN_NAME, XCP_CONSOLE_KIND_VNC },
                                                               { NULL, 0 } };

        return xen_screen_is_wanted(spec) ? with_screen : NULL;
}

const struct hypervisor xen_hypervisor = {
        .name = "xen",
        .features = features,
        .options = options,
        .paths = paths,
        .disk_paths = xen_disk_paths,
        .consoles = consoles,
        .open = xen_open,
        .close = xen_close,
        .available = xen_available,
        .check = xen_check,
        .vm_consoles = xen_vm_consoles,
        .sweep = xen_guest_sweep,
        .guest_new = xen_guest_new,
        .guest_free = xen_guest_free,
        .cancel = xen_action_cancel,
        .query = xen_query,
        .prepare = xen_prepare,
        .start = xen_start,
        .stop = xen_stop,
        .reboot = xen_reboot,
        .reset = xen_reset,
        .suspend = xen_suspend,
        .resume = xen_resume,
        .destroy = xen_destroy,
        .power_button = xen_power_button,
        .save = xen_stream_save,
        .restore = xen_stream_restore,
        .check_send = xen_stream_check_send,
        .send = xen_stream_send,
        .receive = xen_stream_receive,
        .set_memory = xen_set_memory,
        .set_vcpus = xen_set_vcpus,
        .plug_disk = xen_hotplug_plug_disk,
        .unplug_disk = xen_hotplug_unplug_disk,
        .change_medium = xen_hotplug_change_medium,
        .plug_network = xen_hotplug_plug_network,
        .unplug_network = xen_hotplug_unplug_network,
        .statistics = xen_statistics_vm,
        .disk_statistics = xen_statistics_disk,
        .network_statistics = xen_statistics_network,
        .connect_console = xen_guest_connect_console,
};
