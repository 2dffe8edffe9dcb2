/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The block device: a disk, its workers, and the vhost-user server in front of them. */

#include <systemd/sd-event.h>

#include "disk-counters.h"
#include "disk.h"
#include "worker.h"
#include "xen.h"

struct device;

/* fd: of vhost_server_new(), taken over, or connect_path, of vhost_server_new_client(). xen: NULL, or how pages that a guest grants are mapped. The disk, the options, xen and the counters are kept, not copied. */
int device_new(struct device **ret_device, sd_event *event, int fd, const char *connect_path, struct disk *disk,
               const struct worker_options *options, const struct vhost_xen *xen, disk_counters_line *counters);
struct device *device_free(struct device *device);

/* Stands by: whatever a front-end asks is answered, and no ring begins before device_begin(). */
void device_stand_by(struct device *device);
void device_begin(struct device *device);

/* Ends the loop once requests are answered. */
void device_stop(struct device *device);

/* Accepts no other connection than the one that there is, if there is, and ends the loop after it. */
void device_serve_last(struct device *device);

/* The disk has another size: the guest is told. */
void device_resized(struct device *device);

/* The disk has other rates: whoever waits because of the old ones waits no longer. */
void device_rates_changed(struct device *device);
