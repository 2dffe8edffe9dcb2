/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxl_utils.h>

#include "action.h"
#include "cleanup.h"
#include "clock.h"
#include "config.h"

#define SECTOR 512u                     /* what blkback counts */

static void look(struct xen_action *action, const struct worker_tools *tools) {
        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
}

static void on_looked(struct xen_action *action) {
        const libxl_dominfo *info = &action->info;
        uint64_t started = action->guest->facts.started_usec, now;

        if (action->rc != 0) {
                xen_action_fail(action, NULL);
                return;
        }
        now = clock_now_usec(CLOCK_REALTIME);
        action->call->statistics = (struct xcp_vm_statistics) {
                .uptime_us = started > 0 && now > started && !info->shutdown ? now - started : 0,
                .has_cpu_time_us = true,
                .cpu_time_us = info->cpu_time / 1000,
                .has_memory = true,
                .memory = info->current_memkb * 1024,
        };
        xen_action_end(action, 0, NULL);
}

int xen_statistics_vm(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct xen_action *action;
        int r;

        r = xen_action_begin(guest, call, "count", &action);
        if (r >= 0)
                xen_action_work(action, false, look, on_looked);
        return r;
}

/* A file with a number. One that is not there counts nothing: the backend may be elsewhere. */
static uint64_t read_number(const char *directory, const char *name) {
        char path[128], text[32];
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        snprintf(path, sizeof path, "%s/statistics/%s", directory, name);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
        if (n <= 0)
                return 0;
        text[n] = '\0';
        return strtoull(text, NULL, 10);
}

/* Which device of which guest */
static int begin(struct xen_guest *guest, struct hypervisor_call *call, bool is_disk, const char *name, xen_action_work_t work,
                 xen_action_step_t then, struct idl_error *error) {
        const struct xen_facts_device *device = xen_facts_find(&guest->facts, is_disk, name);
        struct xen_action *action;
        int r;

        if (!device)                    /* of a domain that was adopted */
                return idl_error_set_not_supported(error, "figures of a device that somebody else has made");
        r = xen_action_begin(guest, call, "count", &action);
        if (r < 0)
                return r;
        action->number = device->index;
        xen_action_work(action, false, work, then);
        return 0;
}

/* Blkback's directory is named by the disk's number. */
static void count_disk(struct xen_action *action, const struct worker_tools *tools) {
        char vdev[CONFIG_VDEV_SIZE], directory[96];
        libxl_device_disk disk;
        libxl_diskinfo info;

        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        xen_config_name_vdev(action->info.domain_type, (uint32_t) action->number, vdev);
        if (action->rc == 0)
                action->rc = libxl_vdev_to_device_disk(tools->ctx, action->id.domid, vdev, &disk);
        if (action->rc != 0)
                return;
        libxl_diskinfo_init(&info);
        action->rc = libxl_device_disk_getinfo(tools->ctx, action->id.domid, &disk, &info);
        snprintf(directory, sizeof directory, "/sys/bus/xen-backend/devices/vbd-%" PRIu32 "-%d", action->id.domid, info.devid);
        libxl_diskinfo_dispose(&info);
        libxl_device_disk_dispose(&disk);
        action->disk_statistics = (struct xcp_disk_statistics) {
                .read_bytes = read_number(directory, "rd_sect") * SECTOR,
                .read_operations = read_number(directory, "rd_req"),
                .written_bytes = read_number(directory, "wr_sect") * SECTOR,
                .write_operations = read_number(directory, "wr_req"),
        };
}

static void on_disk_counted(struct xen_action *action) {
        action->call->disk_statistics = action->disk_statistics;
        xen_action_end_with_work(action);
}

int xen_statistics_disk(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        return begin(guest, call, true, name, count_disk, on_disk_counted, error);
}

/* What netback receives, the guest sends. */
static void count_network(struct xen_action *action, const struct worker_tools *tools) {
        char directory[64];

        action->rc = xen_domain_find(tools->ctx, &action->id, &action->info);
        if (action->rc != 0)
                return;
        snprintf(directory, sizeof directory, "/sys/class/net/vif%" PRIu32 ".%" PRIu64, action->id.domid, action->number);
        action->network_statistics = (struct xcp_network_statistics) {
                .received_bytes = read_number(directory, "tx_bytes"),
                .received_packets = read_number(directory, "tx_packets"),
                .sent_bytes = read_number(directory, "rx_bytes"),
                .sent_packets = read_number(directory, "rx_packets"),
                .dropped_packets = read_number(directory, "tx_dropped") + read_number(directory, "rx_dropped"),
        };
}

static void on_network_counted(struct xen_action *action) {
        action->call->network_statistics = action->network_statistics;
        xen_action_end_with_work(action);
}

int xen_statistics_network(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        return begin(guest, call, false, name, count_network, on_network_counted, error);
}
