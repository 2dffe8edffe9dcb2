/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The block device. */

#include "device.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "server.h"

struct device {
        struct vhost_device table;
        struct vhost_server *server;
        struct disk *disk;
        int told_fd;
        sd_event_source *told;
        bool stands_by;
        struct worker workers[];        /* one for each queue */
};

static void on_get_config(void *userdata, uint32_t offset, uint8_t *to, uint32_t n) {
        struct device *device = userdata;

        disk_get_config(device->disk, offset, to, n);
}

static int on_set_config(void *userdata, uint32_t offset, const uint8_t *from, uint32_t n, bool is_migration) {
        struct device *device = userdata;

        /* At the end of a migration the whole space comes: of that, too, only the cache is not this side's to say. */
        if (is_migration && offset <= 32 && n > 32 - offset)
                return disk_set_config(device->disk, 32, from + (32 - offset), 1);
        return is_migration ? 0 : disk_set_config(device->disk, offset, from, n);
}

/* A driver that cannot flush has to find on the disk what was answered (VIRTIO 1.2 §5.2.6.2); all others begin with a cache. */
static void on_negotiated(void *userdata, uint64_t features) {
        struct device *device = userdata;

        device->disk->write_back = features & (1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE);
}

static void on_reset(void *userdata) {
        struct device *device = userdata;

        device->disk->write_back = true;
}

/* All that a disk has beyond its file: whether the guest's driver flushes by itself. */
static size_t on_get_state(void *userdata, uint8_t *to) {
        struct device *device = userdata;

        to[0] = device->disk->write_back;
        return 1;
}

static int on_set_state(void *userdata, const uint8_t *untrusted_from, size_t n) {
        struct device *device = userdata;

        if (n != 1 || untrusted_from[0] > 1)
                return -EINVAL;
        device->disk->write_back = untrusted_from[0];
        return 0;
}

static void on_start(void *userdata, struct vhost_queue *queue) {
        struct device *device = userdata;

        if (device->stands_by)
                device->workers[queue->index].queue = queue;    /* for device_begin() */
        else if (worker_start(&device->workers[queue->index], queue) < 0)
                vhost_queue_fail(queue);
}

static void on_stop(void *userdata, struct vhost_queue *queue) {
        struct device *device = userdata;

        if (device->workers[queue->index].has_thread)
                worker_stop(&device->workers[queue->index]);
        else
                vhost_queue_stopped(queue);     /* there was no thread for it */
        if (device->stands_by)
                device->workers[queue->index].queue = NULL;
}

static int on_told(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct device *device = userdata;
        uint64_t n;

        if (read(fd, &n, sizeof n) < 0)
                return 0;
        for (uint16_t i = 0; i < device->disk->n_queues; i++)
                if (worker_take_ended(&device->workers[i]))
                        vhost_queue_stopped(device->workers[i].queue);
        vhost_server_process(device->server);
        return 0;
}

static void on_closed(const char *complaint, void *userdata) {
        if (complaint)
                fprintf(stderr, "xcp-vhost-blk: ended the front-end's connection: %s\n", complaint);
}

static const struct vhost_server_listener listener = { .closed = on_closed };

static int init(struct device *device, sd_event *event, int fd, const char *connect_path, const struct worker_options *options,
                disk_counters_line *counters) {
        int r;

        device->told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (device->told_fd < 0)
                return -errno;
        for (uint16_t i = 0; i < device->disk->n_queues; i++)
                device->workers[i].wake_fd = -1;
        for (uint16_t i = 0; i < device->disk->n_queues; i++) {
                r = worker_init(&device->workers[i], device->disk, options, counters[i], device->told_fd);
                if (r < 0)
                        return r;
        }
        r = sd_event_add_io(event, &device->told, device->told_fd, EPOLLIN, on_told, device);
        if (r < 0)
                return r;
        if (connect_path)
                return vhost_server_new_client(&device->server, event, connect_path, &device->table, &listener, device);
        return vhost_server_new(&device->server, event, fd, &device->table, &listener, device);
}

int device_new(struct device **ret_device, sd_event *event, int fd, const char *connect_path, struct disk *disk,
               const struct worker_options *options, const struct vhost_xen *xen, disk_counters_line *counters) {
        struct device *device = calloc(1, sizeof *device + disk->n_queues * sizeof *device->workers);
        int r;

        if (!device)
                return -ENOMEM;
        device->disk = disk;
        device->table = (struct vhost_device) {
                .features = disk_features(disk),
                .n_queues = disk->n_queues,
                .has_inband = disk->has_inband,
                .xen = xen,
                .config_size = DISK_CONFIG_SIZE,
                .get_config = on_get_config,
                .set_config = on_set_config,
                .negotiated = on_negotiated,
                .reset = on_reset,
                .get_state = on_get_state,
                .set_state = on_set_state,
                .start = on_start,
                .stop = on_stop,
        };
        r = init(device, event, fd, connect_path, options, counters);
        if (r < 0) {
                device_free(device);
                return r;
        }
        *ret_device = device;
        return 0;
}

struct device *device_free(struct device *device) {
        if (!device)
                return NULL;
        for (uint16_t i = 0; i < device->disk->n_queues; i++)
                worker_done(&device->workers[i]);
        sd_event_source_disable_unref(device->told);
        vhost_server_free(device->server);
        if (device->told_fd >= 0)
                close(device->told_fd);
        free(device);
        return NULL;
}

void device_stand_by(struct device *device) {
        device->stands_by = true;
}

void device_begin(struct device *device) {
        device->stands_by = false;
        for (uint16_t i = 0; i < device->disk->n_queues; i++)
                if (device->workers[i].queue)
                        on_start(device, device->workers[i].queue);
}

void device_stop(struct device *device) {
        vhost_server_stop(device->server);
}

void device_serve_last(struct device *device) {
        vhost_server_serve_last(device->server);
}

void device_resized(struct device *device) {
        vhost_backend_config_changed(vhost_server_backend(device->server));
}

void device_rates_changed(struct device *device) {
        for (uint16_t i = 0; i < device->disk->n_queues; i++)
                worker_wake(&device->workers[i]);
}
