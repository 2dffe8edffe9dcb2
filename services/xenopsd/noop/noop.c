/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "noop.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot-id.h"
#include "guest.h"
#include "log.h"

static void noop_close(void *backend) {
        struct noop *noop = backend;

        free(noop->state_dir);
        free(noop);
}

static int noop_open(const struct hypervisor_host *host, void **ret_backend) {
        struct noop *noop = calloc(1, sizeof *noop);
        int r;

        if (!noop)
                return -ENOMEM;
        noop->host = *host;
        noop->state_dir = strdup(host->state_dir);
        r = noop->state_dir ? boot_id_read(noop->boot_id, sizeof noop->boot_id) : -ENOMEM;
        if (r < 0) {
                noop_close(noop);
                return r;
        }
        *ret_backend = noop;
        return 0;
}

static bool noop_available(void *backend, const char **ret_version, const char **ret_reason) {
        *ret_version = "1";
        *ret_reason = "";
        return true;
}

static int noop_check(void *backend, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct noop_options options;

        if (spec->kind != XCP_VM_KIND_AUTO)
                return idl_error_set_invalid_argument(error, "spec.kind", xcp_vm_kind_to_string(spec->kind), "has to be Auto with noop");
        return noop_options_read(&options, spec->backend_options, spec->n_backend_options, error);
}

static int noop_sweep(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata) {
        struct noop *noop = backend;
        struct dirent *entry;
        DIR *dir;

        dir = opendir(noop->state_dir);
        if (!dir)
                return -errno;
        while ((entry = readdir(dir)))
                if (entry->d_name[0] != '.' && !is_known(userdata, entry->d_name)) {
                        log_event(LOG_NOTICE, NULL, "Removing the noop guest '%s', which is no VM's", entry->d_name);
                        unlinkat(dirfd(dir), entry->d_name, 0);
                }
        closedir(dir);
        return 0;
}

const struct hypervisor noop_hypervisor = {
        .name = "noop",
        .features = (const char *const[]) { "hotplug", "migrate", "save", "kernel", "uefi", NULL },
        .options = noop_option_list,
        .paths = (const enum xcp_data_path_kind[]) { XCP_DATA_PATH_KIND_VHOST_USER, XCP_DATA_PATH_KIND_NBD, XCP_DATA_PATH_KIND_FILE,
                                                     XCP_DATA_PATH_KIND_BLOCK_DEVICE, 0 },
        .consoles = (const struct xcp_console_info[]) { { "serial0", XCP_CONSOLE_KIND_SERIAL }, { NULL, 0 } },
        .open = noop_open,
        .close = noop_close,
        .available = noop_available,
        .check = noop_check,
        .sweep = noop_sweep,
        .guest_new = noop_guest_new,
        .guest_free = noop_guest_free,
        .cancel = noop_cancel,
        .query = noop_query,
        .prepare = noop_prepare,
        .start = noop_start,
        .stop = noop_stop,
        .reboot = noop_reboot,
        .reset = noop_reset,
        .suspend = noop_suspend,
        .resume = noop_resume,
        .destroy = noop_destroy,
        .power_button = noop_power_button,
        .save = noop_save,
        .restore = noop_restore,
        .check_send = noop_check_send,
        .send = noop_send,
        .receive = noop_receive,
        .set_memory = noop_set_memory,
        .set_vcpus = noop_set_vcpus,
        .plug_disk = noop_plug_disk,
        .unplug_disk = noop_unplug_disk,
        .change_medium = noop_change_medium,
        .refresh_disk = noop_refresh_disk,
        .plug_network = noop_plug_network,
        .unplug_network = noop_unplug_network,
        .move_network = noop_move_network,
        .set_network = noop_set_network,
        .statistics = noop_statistics,
        .disk_statistics = noop_disk_statistics,
        .network_statistics = noop_network_statistics,
        .connect_console = noop_connect_console,
};
