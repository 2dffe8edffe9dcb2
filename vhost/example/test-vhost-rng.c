/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The device of docs/writing-a-vhost-user-device.md, asked for random numbers: test-vhost-rng SOCKET. */

#include <stdio.h>
#include <string.h>

#include "driver.h"

#define TIMEOUT_MS 60000
#define N 64u

static int set_up(struct vhost_frontend *frontend, struct vhost_driver_memory *memory, struct vhost_driver *driver, const char *path) {
        uint64_t features, protocol_features;
        int r;

        r = vhost_frontend_connect(frontend, path, TIMEOUT_MS);
        if (r >= 0)
                r = vhost_frontend_ask_u64(frontend, VHOST_USER_GET_FEATURES, &features);
        if (r >= 0)
                r = vhost_frontend_ask_u64(frontend, VHOST_USER_GET_PROTOCOL_FEATURES, &protocol_features);
        if (r >= 0)
                r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_PROTOCOL_FEATURES, protocol_features);
        if (r < 0)
                return r;
        frontend->protocol_features = protocol_features;
        r = vhost_frontend_tell_u64(frontend, VHOST_USER_SET_FEATURES, features & ~(VHOST_BIT(VHOST_F_LOG_ALL) | VHOST_BIT(VHOST_F_PACKED)));
        if (r >= 0)
                r = vhost_driver_memory_new(memory, 1 << 20);
        if (r >= 0)
                r = vhost_driver_new(driver, memory, 0, 16, true);
        if (r >= 0)
                r = vhost_driver_memory_lend(memory, frontend);
        return r < 0 ? r : vhost_driver_start(driver, frontend, 0, true);
}

int main(int argc, char **argv) {
        struct vhost_frontend frontend = VHOST_FRONTEND_NONE;
        struct vhost_driver_memory memory;
        struct vhost_driver driver;
        uint32_t head, length;
        uint8_t *buffer;
        unsigned n_zeros = 0;
        int r;

        if (argc != 2)
                return 2;
        r = set_up(&frontend, &memory, &driver, argv[1]);
        if (r < 0) {
                fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
                return 1;
        }
        buffer = vhost_driver_memory_take(&memory, N);
        vhost_driver_describe(&driver, 0, buffer, N, true, true);
        vhost_driver_put(&driver, 0);
        vhost_driver_publish(&driver);
        vhost_driver_kick(&driver);
        r = vhost_driver_wait(&driver, TIMEOUT_MS, &head, &length);
        for (unsigned i = 0; i < N; i++)
                n_zeros += buffer[i] == 0;
        printf("%s, %u bytes, of which %u are zeros\n", r < 0 ? strerror(-r) : "answered", r < 0 ? 0 : length, n_zeros);
        return r < 0 || length != N || n_zeros > N / 4;
}
