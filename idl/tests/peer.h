/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: the test service in a thread of its own, at the other end of a socket pair. No bus daemon is involved. */

#include <pthread.h>

struct peer {
        pthread_t thread;
        int server_fd;
};

/* Starts the service. *ret_fd is the client's end; when that is closed, the service ends. */
void peer_start(struct peer *peer, int *ret_fd);
void peer_join(struct peer *peer);
