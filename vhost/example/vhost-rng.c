/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A source of random numbers for a guest (VIRTIO 1.2 §5.4): the device of docs/writing-a-vhost-user-device.md. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server.h"

#define PIECES_MAX 64u                  /* of a request: what has more breaks its ring */

static void handle(void *userdata, struct vhost_queue *queue) {
        struct iovec iov[PIECES_MAX];
        struct vhost_chain chain;
        int r;

        do {
                while ((r = vhost_ring_take(&queue->ring, iov, PIECES_MAX, &chain)) > 0) {
                        uint32_t n_written = 0;

                        for (size_t i = chain.n_out; i < chain.n_out + chain.n_in; i++) {
                                ssize_t n = getrandom(iov[i].iov_base, iov[i].iov_len, 0);

                                if (n > 0)
                                        n_written += (uint32_t) n;
                                if (n < 0 || (size_t) n < iov[i].iov_len)
                                        break;
                        }
                        vhost_ring_put(&queue->ring, &chain, n_written);
                }
                vhost_queue_flush(queue);
        } while (r == 0 && vhost_ring_sleep(&queue->ring));
        if (r < 0)
                vhost_queue_fail(queue);
}

static const struct vhost_device rng = { .n_queues = 1, .handle = handle };

int main(int argc, char **argv) {
        struct vhost_server *server;
        sd_event *event;
        int fd, r;

        if (argc != 2) {
                fputs("Usage: vhost-rng SOCKET\n", stderr);
                return 2;
        }
        r = vhost_mapping_guard();
        if (r >= 0)
                r = sd_event_new(&event);
        if (r >= 0)
                r = fd = vhost_server_listen(argv[1]);
        if (r >= 0)
                r = vhost_server_new(&server, event, fd, &rng, NULL, NULL);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r < 0)
                fprintf(stderr, "vhost-rng: %s: %s\n", argv[1], strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
