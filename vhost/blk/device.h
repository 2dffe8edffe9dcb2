/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The block device: a disk, its workers, and the vhost-user server in front of them. */

#include <systemd/sd-event.h>

#include "disk.h"
#include "worker.h"

struct device;

/* fd: of vhost_server_new(), taken over. The disk and the options are kept, not copied. */
int device_new(struct device **ret_device, sd_event *event, int fd, struct disk *disk, const struct worker_options *options);
struct device *device_free(struct device *device);

/* Ends the loop once requests are answered. */
void device_stop(struct device *device);

/* The disk has another size: the guest is told. */
void device_resized(struct device *device);

/* The sum over all workers. */
uint64_t device_counter(const struct device *device, enum worker_counter counter);
