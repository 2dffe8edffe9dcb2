/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk in memory. */

#include "memory-disk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "server.h"

#define SECTOR 512u
#define PIECES 128u                     /* of a request */
#define GROWS_AFTER 1u                  /* requests: then it becomes larger */
#define CONFIG_SIZE 60u                 /* up to and with write_zeroes_may_unmap */

struct memory_disk {
        struct memory_disk_options options;
        struct vhost_device device;
        uint8_t *bytes;
        size_t n_bytes;                 /* that are mapped: with the sector that it grows by */
        struct virtio_blk_config config;
        int stuck_fd;
        unsigned n_taken;
        atomic_uint n_answered;
        atomic_bool has_grown, is_stuck;
        sd_event *event;
        struct vhost_server *server;
        pthread_t thread;
        char complaint[200];
};

static void get_config(void *userdata, uint32_t offset, uint8_t *to, uint32_t n) {
        const struct memory_disk *disk = userdata;

        memcpy(to, (const uint8_t *) &disk->config + offset, n);
}

/* Copies up to size bytes from pieces to a buffer, or the other way; the first skip bytes of the pieces are left out. Returns how many. */
static size_t copy(const struct iovec *iov, size_t n_iov, size_t skip, uint8_t *buffer, size_t size, bool to_pieces) {
        size_t done = 0;

        for (size_t i = 0; i < n_iov && done < size; i++) {
                size_t offset = skip < iov[i].iov_len ? skip : iov[i].iov_len, n = iov[i].iov_len - offset;

                skip -= offset;
                if (n > size - done)
                        n = size - done;
                if (to_pieces)
                        memcpy((uint8_t *) iov[i].iov_base + offset, buffer + done, n);
                else
                        memcpy(buffer + done, (const uint8_t *) iov[i].iov_base + offset, n);
                done += n;
        }
        return done;
}

/* Does a request whose pieces have room for a header and a status. Returns how many bytes of data it has written, and the status. */
static size_t execute(struct memory_disk *disk, const struct vhost_chain *chain, uint8_t *ret_status) {
        const struct iovec *out = chain->iov, *in = chain->iov + chain->n_out;
        size_t n_out = chain->n_out_bytes - sizeof(struct virtio_blk_outhdr), n_in = chain->n_in_bytes - 1, n;
        struct virtio_blk_outhdr header;
        char serial[VIRTIO_BLK_ID_BYTES] = "memory";

        copy(out, chain->n_out, 0, (uint8_t *) &header, sizeof header, false);
        *ret_status = VIRTIO_BLK_S_OK;
        n = header.type == VIRTIO_BLK_T_IN ? n_in : header.type == VIRTIO_BLK_T_OUT ? n_out : 0;
        if (n % SECTOR != 0 || header.sector > disk->options.size / SECTOR || n > disk->options.size - header.sector * SECTOR) {
                *ret_status = VIRTIO_BLK_S_IOERR;
                return 0;
        }
        switch (header.type) {
        case VIRTIO_BLK_T_IN:
                return copy(in, chain->n_in, 0, disk->bytes + header.sector * SECTOR, n, true);
        case VIRTIO_BLK_T_OUT:
                copy(out, chain->n_out, sizeof header, disk->bytes + header.sector * SECTOR, n, false);
                return 0;
        case VIRTIO_BLK_T_FLUSH:
                return 0;
        case VIRTIO_BLK_T_GET_ID:
                return copy(in, chain->n_in, 0, (uint8_t *) serial, n_in < sizeof serial ? n_in : sizeof serial, true);
        default:
                *ret_status = VIRTIO_BLK_S_UNSUPP;
                return 0;
        }
}

static void grow(struct memory_disk *disk) {
        disk->options.size += SECTOR;
        disk->config.capacity++;
        disk->has_grown = true;             /* before the front-end can have heard of it */
        vhost_backend_config_changed(vhost_server_backend(disk->server));
}

/* Whether it is the one that is left unanswered. */
static bool is_left(struct memory_disk *disk) {
        const uint64_t one = 1;

        if (++disk->n_taken != disk->options.leave_unanswered)
                return false;
        disk->is_stuck = true;
        if (write(disk->stuck_fd, &one, sizeof one) < 0)
                errno = 0;              /* it is set already */
        return true;
}

static void handle(void *userdata, struct vhost_queue *queue) {
        struct memory_disk *disk = userdata;
        struct iovec iov[PIECES];
        struct vhost_chain chain;
        int r = 0;

        do {
                while (!disk->is_stuck && (r = vhost_ring_take(&queue->ring, iov, PIECES, &chain)) > 0) {
                        uint8_t status;
                        size_t n;

                        if (chain.n_out_bytes < sizeof(struct virtio_blk_outhdr) || chain.n_in_bytes < 1) {
                                vhost_queue_fail(queue);
                                return;
                        }
                        if (is_left(disk))
                                break;
                        n = execute(disk, &chain, &status);
                        copy(iov + chain.n_out, chain.n_in, chain.n_in_bytes - 1, &status, 1, true);
                        vhost_ring_put(&queue->ring, &chain, (uint32_t) n + 1);
                        if (++disk->n_answered == GROWS_AFTER)
                                grow(disk);
                }
                vhost_queue_flush(queue);
                if (r < 0) {
                        vhost_queue_fail(queue);
                        return;
                }
        } while (!disk->is_stuck && vhost_ring_sleep(&queue->ring));
}

int memory_disk_new(struct memory_disk **ret_disk, const struct memory_disk_options *options) {
        struct memory_disk *disk = calloc(1, sizeof *disk);

        if (!disk)
                return -ENOMEM;
        disk->options = *options;
        disk->device = (struct vhost_device) {
                .features = VHOST_BIT(VIRTIO_BLK_F_SEG_MAX) | VHOST_BIT(VIRTIO_BLK_F_FLUSH) | VHOST_BIT(VIRTIO_BLK_F_MQ),
                .n_queues = options->n_queues,
                .has_inband = options->has_inband,
                .config_size = CONFIG_SIZE,
                .get_config = get_config,
                .handle = handle,
        };
        disk->config = (struct virtio_blk_config) {
                .capacity = options->size / SECTOR,
                .seg_max = PIECES - 2,
                .num_queues = options->n_queues,
        };
        disk->stuck_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        disk->n_bytes = options->size + SECTOR;
        disk->bytes = mmap(NULL, disk->n_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (disk->stuck_fd < 0 || disk->bytes == MAP_FAILED) {
                memory_disk_free(disk);
                return -ENOMEM;
        }
        *ret_disk = disk;
        return 0;
}

struct memory_disk *memory_disk_free(struct memory_disk *disk) {
        if (disk->bytes != MAP_FAILED)
                munmap(disk->bytes, disk->n_bytes);
        if (disk->stuck_fd >= 0)
                close(disk->stuck_fd);
        free(disk);
        return NULL;
}

static void on_closed(const char *complaint, void *userdata) {
        struct memory_disk *disk = userdata;

        snprintf(disk->complaint, sizeof disk->complaint, "%s", complaint ? complaint : "");
}

static void *run(void *userdata) {
        struct memory_disk *disk = userdata;

        sd_event_loop(disk->event);
        return NULL;
}

int memory_disk_begin(struct memory_disk *disk, int fd) {
        static const struct vhost_server_listener listener = { .closed = on_closed };
        int r;

        disk->is_stuck = false;
        disk->complaint[0] = 0;
        r = sd_event_new(&disk->event);
        if (r >= 0)
                r = vhost_server_new(&disk->server, disk->event, fd, &disk->device, &listener, disk);
        if (r < 0)
                close(fd);
        else
                r = -pthread_create(&disk->thread, NULL, run, disk);
        return r;
}

void memory_disk_end(struct memory_disk *disk) {
        uint64_t n;

        pthread_join(disk->thread, NULL);
        disk->server = vhost_server_free(disk->server);
        disk->event = sd_event_unref(disk->event);
        if (read(disk->stuck_fd, &n, sizeof n) < 0)
                errno = 0;
}

const char *memory_disk_complaint(const struct memory_disk *disk) {
        return disk->complaint[0] ? disk->complaint : NULL;
}

int memory_disk_stuck_fd(const struct memory_disk *disk) {
        return disk->stuck_fd;
}

unsigned memory_disk_answered(const struct memory_disk *disk) {
        return disk->n_answered;
}

bool memory_disk_has_grown(const struct memory_disk *disk) {
        return disk->has_grown;
}
