/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Requests of a block device over vhost-user, from a driver that has so many in flight: bench-vhost SOCKET read|write|sequential|id BYTES DEPTH [packed|two].
 *
 * two: queues, each with a thread of the driver's, half of the requests, and as many in flight.
 *
 * id: GET_ID, for which no back-end looks at its disk, so that the rings are all there is to it; BYTES are not.
 */

#include <errno.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "rounds.h"

#define DISK_BYTES (256u << 20)                 /* that requests are spread over */
#define DEPTH_MAX 64u
#define TIMEOUT_MS 20000
#define QUEUES_MAX 2u

struct bench;

struct lane {                                   /* a queue */
        struct bench *bench;
        struct vhost_driver driver;
        uint8_t *headers, *data;
        uint64_t random, next;
        uint64_t n;                             /* requests of this round */
        int result;
};

struct bench {
        struct vhost_frontend frontend;
        struct vhost_driver_memory memory;
        struct lane lanes[QUEUES_MAX];
        unsigned n_lanes;
        uint32_t type, size, depth;
        bool is_sequential, is_packed;
};

static int set_up(struct bench *bench, const char *path) {
        struct vhost_frontend *frontend = &bench->frontend;
        const uint64_t wanted = VHOST_BIT(VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIG);
        uint64_t features;
        int r;

        r = vhost_frontend_connect(frontend, path, TIMEOUT_MS);
        if (r >= 0)
                r = vhost_frontend_ask_u64(frontend, VHOST_USER_GET_FEATURES, &features);
        if (r >= 0)
                r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_PROTOCOL_FEATURES, wanted);
        if (r < 0)
                return r;
        frontend->protocol_features = wanted;
        r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_FEATURES, features & ~(VHOST_BIT(VHOST_F_LOG_ALL) | (bench->is_packed ? 0 : VHOST_BIT(VHOST_F_PACKED))));
        if (r >= 0)
                r = vhost_driver_memory_new(&bench->memory, 16u << 20);
        for (unsigned i = 0; i < bench->n_lanes && r >= 0; i++)
                r = (bench->is_packed ? vhost_driver_new_packed : vhost_driver_new)(&bench->lanes[i].driver, &bench->memory, (uint16_t) i, 256, true);
        if (r >= 0)
                r = vhost_driver_memory_lend(&bench->memory, frontend);
        for (unsigned i = 0; i < bench->n_lanes && r >= 0; i++)
                r = vhost_driver_start(&bench->lanes[i].driver, frontend, vhost_driver_base(&bench->lanes[i].driver), true);
        return r;
}

/* As a guest does it for each request anew: of a split ring, descriptors that stay as they are would cost less than they do. */
static void describe(struct lane *lane, uint32_t slot) {
        const struct bench *bench = lane->bench;
        uint16_t first = (uint16_t) (3 * slot);

        vhost_driver_describe(&lane->driver, first, lane->headers + 64 * slot, 16, false, false);
        vhost_driver_describe(&lane->driver, (uint16_t) (first + 1), lane->data + (size_t) bench->size * slot,
                              bench->type == VIRTIO_BLK_T_GET_ID ? VIRTIO_BLK_ID_BYTES : bench->size, bench->type != VIRTIO_BLK_T_OUT, false);
        vhost_driver_describe(&lane->driver, (uint16_t) (first + 2), lane->headers + 64 * slot + 32, 1, true, true);
}

static void put(struct lane *lane, uint32_t slot) {
        struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *) (void *) (lane->headers + 64 * slot);
        const struct bench *bench = lane->bench;
        uint64_t n = DISK_BYTES / bench->size;

        /* xorshift: any will do, as long as it is the same for both */
        lane->random ^= lane->random << 13;
        lane->random ^= lane->random >> 7;
        lane->random ^= lane->random << 17;
        header->type = bench->type;
        header->sector = (bench->is_sequential ? lane->next++ % n : lane->random % n) * bench->size / 512;
        describe(lane, slot);
        vhost_driver_put(&lane->driver, (uint16_t) (3 * slot));
}

static void kick(struct lane *lane) {
        if (vhost_driver_publish(&lane->driver))
                vhost_driver_kick(&lane->driver);
}

static int run_lane(struct lane *lane) {
        uint64_t n_put = 0, n_done = 0, n = lane->n;
        uint32_t head, length;

        for (uint32_t i = 0; i < lane->bench->depth && n_put < n; i++, n_put++)
                put(lane, i);
        kick(lane);
        while (n_done < n) {
                int r = vhost_driver_wait(&lane->driver, TIMEOUT_MS, &head, &length);

                if (r < 0)
                        return r;
                do {
                        if (lane->headers[64 * (head / 3) + 32] != VIRTIO_BLK_S_OK)
                                return -EIO;
                        n_done++;
                        if (n_put < n) {
                                put(lane, head / 3);
                                n_put++;
                        }
                } while (vhost_driver_take(&lane->driver, &head, &length));
                kick(lane);
        }
        return 0;
}

static void *thread_main(void *userdata) {
        struct lane *lane = userdata;

        lane->result = run_lane(lane);
        return NULL;
}

static int operate(void *userdata, uint64_t n) {
        struct bench *bench = userdata;
        pthread_t thread;
        int r;

        for (unsigned i = 0; i < bench->n_lanes; i++)
                bench->lanes[i].n = n / bench->n_lanes;
        if (bench->n_lanes == 1)
                return run_lane(&bench->lanes[0]);
        r = -pthread_create(&thread, NULL, thread_main, &bench->lanes[1]);
        if (r < 0)
                return r;
        r = run_lane(&bench->lanes[0]);
        pthread_join(thread, NULL);
        return r < 0 ? r : bench->lanes[1].result;
}

int main(int argc, char **argv) {
        static struct bench bench = { .frontend = VHOST_FRONTEND_NONE };
        bool is_packed = argc == 6 && strcmp(argv[5], "packed") == 0, has_two = argc == 6 && strcmp(argv[5], "two") == 0;
        int r;

        if (argc != 5 && !is_packed && !has_two)
                return 2;
        bench.is_packed = is_packed;
        bench.n_lanes = has_two ? 2 : 1;
        bench.is_sequential = strcmp(argv[2], "sequential") == 0;
        bench.type = strcmp(argv[2], "write") == 0 ? VIRTIO_BLK_T_OUT : strcmp(argv[2], "id") == 0 ? VIRTIO_BLK_T_GET_ID : VIRTIO_BLK_T_IN;
        bench.size = (uint32_t) atoi(argv[3]);
        bench.depth = (uint32_t) atoi(argv[4]);
        if (bench.depth == 0 || bench.depth > DEPTH_MAX || bench.size == 0 || bench.size % 512 != 0 || bench.size > (128u << 10))
                return 2;
        r = set_up(&bench, argv[1]);
        if (r < 0) {
                errno = -r;
                return rounds_fail("bench-vhost", argv[1]);
        }
        for (unsigned i = 0; i < bench.n_lanes; i++)
                bench.lanes[i] = (struct lane) {
                        .bench = &bench,
                        .driver = bench.lanes[i].driver,
                        .headers = vhost_driver_memory_take(&bench.memory, 64 * DEPTH_MAX),
                        .data = vhost_driver_memory_take(&bench.memory, (size_t) bench.size * bench.depth),
                        .random = 88172645463325252 + i,
                };
        return rounds_serve("bench-vhost", operate, &bench);
}
