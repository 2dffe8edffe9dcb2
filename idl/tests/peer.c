/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "peer.h"

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "service.h"

static void *peer_run(void *userdata) {
        struct peer *peer = userdata;
        struct test_service *service;
        sd_bus *bus;
        sd_id128_t id;
        int r;

        g_assert_cmpint(sd_id128_randomize(&id), >=, 0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, peer->server_fd, peer->server_fd), >=, 0);
        g_assert_cmpint(sd_bus_set_server(bus, true, id), >=, 0);
        g_assert_cmpint(sd_bus_negotiate_fds(bus, true), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        g_assert_cmpint(test_service_new(&service, bus), ==, 0);

        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r < 0)
                        break;
                if (r == 0 && sd_bus_wait(bus, UINT64_MAX) < 0)
                        break;
        }

        test_service_free(service);
        sd_bus_close_unref(bus);
        return NULL;
}

void peer_start(struct peer *peer, int *ret_fd) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), ==, 0);
        peer->server_fd = fds[0];
        *ret_fd = fds[1];
        g_assert_cmpint(pthread_create(&peer->thread, NULL, peer_run, peer), ==, 0);
}

void peer_join(struct peer *peer) {
        pthread_join(peer->thread, NULL);
}
