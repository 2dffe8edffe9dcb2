/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Listeners: ACCEPT and POLL wait here until a connection comes, any number of them.
 *
 * A connection goes to the ACCEPT that has waited longest; only if there is none, those who POLL are told. An ACCEPT's pages are mapped
 * when it comes, so that a connection is never taken from the host that cannot be given to the guest.
 */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "error.h"
#include "guest-join.h"
#include "guest-private.h"

#define BACKLOG_MAX 4096u               /* Linux's own default bound, net.core.somaxconn */

int guest_listen(struct socket *socket, uint32_t backlog) {
        int n = backlog < BACKLOG_MAX ? (int) backlog : (int) BACKLOG_MAX;

        if (listen(socket->fd, n) < 0)
                return -errno;
        guest_join_listen(socket, n);
        if (socket->state != SOCKET_LISTENING) {
                int r = guest_watch(socket->guest, socket, EPOLL_CTL_ADD, 0);

                if (r < 0)
                        return r;
        }
        socket->state = SOCKET_LISTENING;
        return 0;
}

/* The host tells of connections as long as somebody waits for one. */
static void watch_while_parked(struct socket *socket) {
        bool wanted = socket->parked != NULL;

        if (wanted == socket->listening_watched)
                return;
        if (socket->join_listener >= 0)
                (void) guest_watch_fd(socket->guest, socket, socket->join_listener, EPOLL_CTL_MOD, wanted ? EPOLLIN : 0);
        if (guest_watch(socket->guest, socket, EPOLL_CTL_MOD, wanted ? EPOLLIN : 0) == 0)
                socket->listening_watched = wanted;
}

static int park(struct socket *socket, uint32_t cmd, uint32_t req_id, struct socket *expected) {
        struct parked *parked = malloc(sizeof *parked);

        if (!parked)
                return -ENOMEM;
        *parked = (struct parked) { .cmd = cmd, .req_id = req_id, .expected = expected };
        *socket->parked_tail = parked;
        socket->parked_tail = &parked->next;
        return 0;
}

/* Takes the first that waits with this command out of the line. The caller has to free it. NULL if there is none. */
static struct parked *take_first(struct socket *socket, uint32_t cmd) {
        struct parked **at = &socket->parked, *found;

        while (*at && (*at)->cmd != cmd)
                at = &(*at)->next;
        found = *at;
        if (!found)
                return NULL;
        *at = found->next;
        if (!*at)
                socket->parked_tail = at;
        return found;
}

/* Takes it and answers it. What it expected is the caller's then. Returns false if there is none. */
static bool answer_first(struct socket *socket, uint32_t cmd, int32_t number, struct socket **ret_expected) {
        struct parked *found = take_first(socket, cmd);

        if (!found)
                return false;
        *ret_expected = found->expected;
        guest_respond(socket->guest, cmd, found->req_id, socket->id, number);
        free(found);
        return true;
}

/* Hands a connection to the ACCEPT that came first, of which there is one. Returns what it is from now on. */
static struct socket *answer_accept(struct socket *socket, int fd, const struct pvcalls_name *remote) {
        struct parked *accept = take_first(socket, PVCALLS_ACCEPT);
        struct pvcalls_response response = { .req_id = accept->req_id, .cmd = PVCALLS_ACCEPT, .id = socket->id };
        struct socket *expected = accept->expected;

        expected->fd = fd;
        expected->remote = *remote;
        guest_tell_peer(expected, &response);
        guest_respond_with(socket->guest, &response);
        free(accept);
        return expected;
}

static bool has_parked(const struct socket *socket, uint32_t cmd) {
        for (const struct parked *parked = socket->parked; parked; parked = parked->next)
                if (parked->cmd == cmd)
                        return true;
        return false;
}

/* Takes one connection for the first ACCEPT. Returns 0, or a negative errno: -EAGAIN if none is there. */
static int accept_one(struct socket *socket) {
        struct guest *guest = socket->guest;
        struct pvcalls_name remote = { .size = sizeof remote.local };
        struct socket *expected;
        struct join *join;
        int fd, r;

        r = guest_join_take(socket, &join, &remote);
        if (r == 0) {
                guest->terms->counters.accepted++;
                guest_join_open(answer_accept(socket, -1, &remote), join);
        }
        if (r != -EAGAIN)               /* JOIN_IS_BAD: there may be others */
                return r < 0 ? r : 0;
        fd = accept4(socket->fd, &remote.any, &remote.size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
                return errno == ECONNABORTED || errno == EINTR ? 0 : -errno;    /* that one is gone; there may be others */
        expected = answer_accept(socket, fd, &remote);
        guest->terms->counters.accepted++;
        r = guest_watch(guest, expected, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
        if (r < 0)
                stream_fail(&expected->stream, r);
        guest_open_stream(expected);
        return 0;
}

static void tell_pollers(struct socket *socket) {
        struct socket *none;

        while (answer_first(socket, PVCALLS_POLL, 0, &none))
                ;
}

/* What cannot be helped is told to one ACCEPT: the others get their own connection, or their own error. */
static void accept_failed(struct socket *socket, int error) {
        struct socket *expected;

        if (answer_first(socket, PVCALLS_ACCEPT, pvcalls_error_to_wire(error), &expected))
                socket_free(expected);
}

static bool has_connection(const struct socket *socket) {
        struct pollfd pollfds[] = { { .fd = socket->fd, .events = POLLIN }, { .fd = socket->join_listener, .events = POLLIN } };

        return poll(pollfds, 2, 0) > 0; /* a descriptor of -1 is left out */
}

void guest_listen_ready(struct socket *socket) {
        while (has_parked(socket, PVCALLS_ACCEPT)) {
                int r = accept_one(socket);

                if (r == -EAGAIN)
                        break;
                if (r < 0)
                        accept_failed(socket, r);
        }
        if (!has_parked(socket, PVCALLS_ACCEPT) && has_parked(socket, PVCALLS_POLL) && has_connection(socket))
                tell_pollers(socket);
        watch_while_parked(socket);
}

int guest_accept(struct socket *socket, const struct pvcalls_request *request) {
        struct guest *guest = socket->guest;
        struct socket *expected;
        int r;

        if (socket->state != SOCKET_LISTENING)
                return -EINVAL;
        r = socket_new(guest, request->u.accept.id_new, socket->family, socket->type, &expected);
        if (r < 0)
                return r;
        expected->state = SOCKET_EXPECTED;
        expected->bound = true;         /* allowed as long as its listener is */
        expected->bind_address = socket->bind_address;
        expected->bound_elsewhere = socket->bound_elsewhere;
        r = socket_attach(expected, request->u.accept.ref, request->u.accept.evtchn);
        if (r == 0)
                r = park(socket, PVCALLS_ACCEPT, request->req_id, expected);
        if (r < 0) {
                socket_free(expected);
                return r;
        }
        guest_listen_ready(socket);
        return 0;
}

int guest_poll(struct socket *socket, uint32_t req_id) {
        int r;

        if (socket->state != SOCKET_LISTENING)
                return -EINVAL;
        r = park(socket, PVCALLS_POLL, req_id, NULL);
        if (r == 0)
                guest_listen_ready(socket);
        return r;
}

void guest_listen_end(struct socket *socket, int32_t number) {
        struct socket *expected;

        while (answer_first(socket, PVCALLS_ACCEPT, number, &expected))
                socket_free(expected);
        while (answer_first(socket, PVCALLS_POLL, number, &expected))
                ;
        socket->listening_watched = false;
}
