/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A guest's sockets: found by the ids that it chose, and what becomes of each at its end. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest-join.h"
#include "guest-private.h"

/* Ids are the guest's choice, so the key is not. From splitmix64. */
static struct socket **bucket_of(struct guest *guest, uint64_t id) {
        uint64_t x = id ^ guest->key;

        x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
        return &guest->buckets[(x ^ x >> 31) & (guest->n_buckets - 1)];
}

struct socket *socket_find(struct guest *guest, uint64_t id) {
        struct socket *socket = *bucket_of(guest, id);

        while (socket && socket->id != id)
                socket = socket->next_in_bucket;
        return socket;
}

int socket_new(struct guest *guest, uint64_t id, int family, int type, struct socket **ret_socket) {
        uint64_t now = guest_now(guest);
        struct socket *socket, **bucket = bucket_of(guest, id);

        if (socket_find(guest, id))
                return -EEXIST;
        if (guest->n_sockets >= guest->terms->limits.sockets || !rate_take(&guest->terms->sockets_rate, 1, now)) {
                guest->terms->counters.limited++;
                return guest->n_sockets >= guest->terms->limits.sockets ? -EMFILE : -ENOBUFS;
        }
        socket = calloc(1, sizeof *socket);
        if (!socket)
                return -ENOMEM;
        *socket = (struct socket) {
                .guest = guest,
                .next_in_bucket = *bucket,
                .id = id,
                .serial = ++guest->terms->serial,
                .made_usec = now,
                .family = family,
                .type = type,
                .fd = -1,
                .join_listener = -1,
        };
        socket->parked_tail = &socket->parked;
        socket->stream.fd = -1;
        *bucket = socket;
        guest->n_sockets++;
        guest->terms->counters.sockets++;
        *ret_socket = socket;
        return 0;
}

int socket_make_fd(struct socket *s) {
        if (s->fd >= 0)
                return 0;
        s->fd = socket(s->family, s->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        return s->fd < 0 ? -errno : 0;
}

int socket_local_name(const struct socket *socket, struct pvcalls_name *ret_name) {
        struct pvcalls_name name = { .size = sizeof name.local };

        if (getsockname(socket->fd, &name.any, &name.size) < 0)
                return -errno;
        *ret_name = name;
        return 0;
}

void socket_close_fd(struct socket *socket) {
        guest_remove_path(socket);
        guest_join_unlisten(socket);
        if (socket->fd >= 0)
                close(socket->fd);      /* which takes it out of the epoll as well: nobody else has it open */
        socket->fd = socket->stream.fd = -1;
}

static void unlink_bucket(struct socket *socket) {
        struct socket **at = bucket_of(socket->guest, socket->id);

        while (*at != socket)
                at = &(*at)->next_in_bucket;
        *at = socket->next_in_bucket;
}

static void unlink_closing(struct socket *socket) {
        struct guest *guest = socket->guest;
        struct socket **at = &guest->closing;

        while (*at && *at != socket)
                at = &(*at)->next_closing;
        if (!*at)
                return;
        *at = socket->next_closing;
        if (!*at)
                guest->closing_tail = at;
}

static void unlink_queue(struct socket *socket) {
        struct guest *guest = socket->guest;
        struct socket **at = &guest->queue;

        if (!socket->queued)
                return;
        while (*at != socket)
                at = &(*at)->next_in_queue;
        *at = socket->next_in_queue;
        if (!*at)
                guest->queue_tail = at;
        socket->queued = false;
}

void socket_free(struct socket *socket) {
        struct guest *guest = socket->guest;

        if (socket->join)
                guest_join_end(socket, stream_is_drained(&socket->stream) && !guest_wants_reset(socket) ? 0 : -ECONNRESET);
        if (socket->port_tries > 0)
                guest->n_ports_missing--;
        unlink_bucket(socket);
        unlink_queue(socket);
        if (socket->state == SOCKET_CLOSING)
                unlink_closing(socket);
        socket_close_fd(socket);
        socket_detach(socket);
        for (struct parked *parked = socket->parked, *next; parked; parked = next) {
                next = parked->next;
                free(parked);
        }
        socket->parked = NULL;
        free(socket->judged);
        free(socket->staged);
        guest->n_sockets--;
        socket->next_freed = guest->freed;
        guest->freed = socket;
}
