/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest's driver that goes on writing while its back-end is killed and started again; tests/integration/test-vhost.py.
 *
 * vhost-toy-driver SOCKET LIMIT [packed]: 16 writes are in flight all the time, over a split ring or a packed one, each of 4 KiB to a place of its own, with the number of that write in every
 * word. Prints a line after each 200, and for each pause that a new back-end has ended. It stops when a line comes on standard input, or after LIMIT;
 * then all 16 places have to have what was acknowledged last. A request that is answered twice, or that nobody made, is an error.
 */

#include <errno.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define SLOTS 16u
#define BLOCK 4096u
#define SLOT_BYTES (3 * 4096u)          /* header, data, status: a page each */
#define RECONNECT_MS 60000
#define ANSWER_MS 60000

struct toy {
        const char *path;
        struct vhost_frontend frontend;
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        struct vhost_message inflight;  /* the region, and its descriptor */
        bool has_inflight;
        uint8_t *slots;
        uint32_t numbers[SLOTS];        /* what is being written, or was */
        bool busy[SLOTS];
        unsigned n_busy, n_done;
};

static void check(bool good, const char *what) {
        if (good)
                return;
        printf("wrong: %s\n", what);
        exit(EXIT_FAILURE);
}

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (int64_t) t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, or a negative errno: this back-end is going too. */
static int set_up(struct toy *toy) {
        union vhost_payload payload = { .inflight = { .n_queues = 1, .queue_size = 64 } };
        struct vhost_frontend *frontend = &toy->frontend;
        uint64_t features, protocol = 0;
        bool tracks;
        int r;

        r = vhost_frontend_connect(frontend, toy->path, ANSWER_MS);
        if (r >= 0)
                r = vhost_frontend_ask_u64(frontend, VHOST_USER_GET_FEATURES, &features);
        if (r >= 0)
                r = vhost_frontend_ask_u64(frontend, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol);
        if (r >= 0)
                r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_PROTOCOL_FEATURES, protocol);
        if (r < 0)
                return r;
        frontend->protocol_features = protocol;
        r = vhost_frontend_tell(frontend, VHOST_USER_SET_OWNER, NULL, 0, NULL, 0);
        if (r < 0)
                return r;
        features &= ~(VHOST_BIT(VHOST_F_LOG_ALL) | (toy->driver.packed ? 0 : VHOST_BIT(VHOST_F_PACKED)));
        r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_FEATURES, features);
        tracks = protocol & VHOST_BIT(VHOST_PROTOCOL_F_INFLIGHT_SHMFD);         /* not every back-end does */
        if (r >= 0 && tracks && !toy->has_inflight) {
                r = vhost_frontend_ask(frontend, VHOST_USER_GET_INFLIGHT_FD, &payload, 24, &toy->inflight);
                toy->has_inflight = r >= 0;
        }
        if (r >= 0 && tracks)
                r = vhost_frontend_tell(frontend, VHOST_USER_SET_INFLIGHT_FD, &toy->inflight.payload, 24, toy->inflight.fds, 1);
        if (r >= 0)
                r = vhost_driver_memory_lend(&toy->memory, frontend);
        if (r >= 0)
                r = vhost_driver_start(&toy->driver, frontend, vhost_driver_base(&toy->driver), true);
        return r;
}

static void connect_again(struct toy *toy) {
        int64_t deadline = now_ms() + RECONNECT_MS;

        for (;;) {
                vhost_frontend_close(&toy->frontend);
                if (set_up(toy) >= 0)
                        return;
                check(now_ms() < deadline, "no back-end within a minute");
                usleep(2000);           /* nobody listens, and nothing tells when somebody does */
        }
}

static void put(struct toy *toy, uint16_t slot, uint32_t type) {
        uint8_t *at = toy->slots + slot * SLOT_BYTES;
        uint16_t first = (uint16_t) (slot * 3);

        *(struct virtio_blk_outhdr *) (void *) at = (struct virtio_blk_outhdr) { .type = type, .sector = slot * BLOCK / 512 };
        for (uint32_t i = 0; type == VIRTIO_BLK_T_OUT && i < BLOCK / 4; i++)
                ((uint32_t *) (void *) (at + 4096))[i] = toy->numbers[slot];
        at[8192] = 0xff;
        vhost_driver_describe(&toy->driver, first, at, 16, false, false);
        vhost_driver_describe(&toy->driver, (uint16_t) (first + 1), at + 4096, BLOCK, type == VIRTIO_BLK_T_IN, false);
        vhost_driver_describe(&toy->driver, (uint16_t) (first + 2), at + 8192, 1, true, true);
        vhost_driver_put(&toy->driver, first);
        toy->busy[slot] = true;
        toy->n_busy++;
        if (vhost_driver_publish(&toy->driver))
                vhost_driver_kick(&toy->driver);
}

/* Takes what was answered. Returns how many. */
static unsigned take(struct toy *toy, bool go_on) {
        uint32_t head, length;
        unsigned n = 0;

        for (; vhost_driver_take(&toy->driver, &head, &length); n++) {
                uint16_t slot = (uint16_t) (head / 3);

                check(head % 3 == 0 && slot < SLOTS && toy->busy[slot], "a request that was not made, or was answered before");
                check(toy->slots[slot * SLOT_BYTES + 8192] == VIRTIO_BLK_S_OK, "a request fails");
                toy->busy[slot] = false;
                toy->n_busy--;
                if (++toy->n_done % 200 == 0)
                        printf("%u\n", toy->n_done);
                if (go_on) {
                        toy->numbers[slot] += SLOTS;
                        put(toy, slot, VIRTIO_BLK_T_OUT);
                }
        }
        return n;
}

/* Waits for something: an answer, the end of the back-end, a line. Returns whether the back-end is there. */
static bool wait_any(struct toy *toy, bool for_line, int64_t deadline, bool *ret_line) {
        struct pollfd p[3] = { { .fd = toy->driver.call_fd, .events = POLLIN },
                               { .fd = toy->frontend.channel.fd, .events = POLLRDHUP },
                               { .fd = for_line ? 0 : -1, .events = POLLIN } };
        uint64_t n;

        if (vhost_driver_ask(&toy->driver))
                return true;
        check(poll(p, 3, (int) (deadline - now_ms() > 0 ? deadline - now_ms() : 0)) > 0, "no answer within a minute");
        if (p[0].revents && read(toy->driver.call_fd, &n, sizeof n) < 0)
                check(errno == EAGAIN, "the call descriptor fails");
        *ret_line = p[2].revents;
        return !p[1].revents;
}

static void run(struct toy *toy, unsigned limit) {
        int64_t lost_at = -1, deadline = now_ms() + ANSWER_MS;
        bool go_on = true, line = false;

        while (toy->n_busy > 0) {
                if (take(toy, go_on) > 0) {
                        if (lost_at >= 0)
                                printf("pause %lld\n", (long long) (now_ms() - lost_at));
                        lost_at = -1;
                        deadline = now_ms() + ANSWER_MS;
                        fflush(stdout);
                }
                if (toy->n_done >= limit || line)
                        go_on = false;
                if (toy->n_busy == 0)
                        return;
                if (!wait_any(toy, go_on, deadline, &line)) {
                        if (lost_at < 0)
                                lost_at = now_ms();
                        connect_again(toy);
                }
        }
}

int main(int argc, char **argv) {
        struct toy toy = { .frontend = VHOST_FRONTEND_NONE };
        int (*make)(struct vhost_driver *, struct vhost_driver_memory *, uint16_t, uint16_t, bool);

        if (argc < 3)
                return 2;
        toy.path = argv[1];
        make = argc > 3 && strcmp(argv[3], "packed") == 0 ? vhost_driver_new_packed : vhost_driver_new;
        check(vhost_driver_memory_new(&toy.memory, 1 << 20) == 0 && make(&toy.driver, &toy.memory, 0, 64, true) == 0, "memory");
        toy.slots = vhost_driver_memory_take(&toy.memory, SLOTS * SLOT_BYTES);
        connect_again(&toy);
        for (uint16_t i = 0; i < SLOTS; i++) {
                toy.numbers[i] = i + 1;
                put(&toy, i, VIRTIO_BLK_T_OUT);
        }
        run(&toy, (unsigned) atoi(argv[2]));
        for (uint16_t i = 0; i < SLOTS; i++) {
                memset(toy.slots + i * SLOT_BYTES + 4096, 0, BLOCK);
                put(&toy, i, VIRTIO_BLK_T_IN);
        }
        run(&toy, 0);
        for (uint16_t i = 0; i < SLOTS; i++)
                for (uint32_t k = 0; k < BLOCK / 4; k++)
                        check(((uint32_t *) (void *) (toy.slots + i * SLOT_BYTES + 4096))[k] == toy.numbers[i], "what was acknowledged is not there");
        printf("right after %u\n", toy.n_done);
        return EXIT_SUCCESS;
}
