/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an operator sees of a guest's sockets, and does to them. */

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "error.h"
#include "guest-join.h"
#include "guest-private.h"

/* As if its network had failed: who waits is answered, and the guest finds ECONNRESET at both ends. It still has to release it. */
static bool kill_socket(struct socket *socket) {
        struct guest *guest = socket->guest;

        switch (socket->state) {
        case SOCKET_EXPECTED:           /* it ends with its listener */
        case SOCKET_CLOSING:            /* it is on its way out */
        case SOCKET_DEAD:
                return false;
        case SOCKET_CONNECTING:
                guest_respond(guest, PVCALLS_CONNECT, socket->req_id, socket->id, pvcalls_error_to_wire(-ECONNRESET));
                socket_detach(socket);
                break;
        case SOCKET_LISTENING:
                guest_listen_end(socket, pvcalls_error_to_wire(-ECONNABORTED));
                break;
        case SOCKET_CONNECTED:
                guest_join_end(socket, -ECONNRESET);
                stream_fail(&socket->stream, -ECONNRESET);
                socket_notify(socket);
                break;
        default:
                break;
        }
        socket_close_fd(socket);
        socket->state = SOCKET_DEAD;
        return true;
}

static void flush_notification(struct guest *guest) {
        if (guest->notify_due)
                xen_notify(guest->xen, guest->port);
        guest->notify_due = false;
}

static bool is_allowed(struct guest *guest, const struct socket *socket) {
        if (socket->bound && !policy_allows(&guest->terms->policy, POLICY_BIND, socket->type, &socket->bind_address))
                return false;
        return !socket->connect_asked || policy_allows(&guest->terms->policy, POLICY_CONNECT, socket->type, &socket->connect_address);
}

/* Kills all that unwanted() names. What ends with its listener leaves its bucket meanwhile; so the next is looked up only after that. */
static unsigned kill_where(struct guest *guest, bool (*unwanted)(struct guest *guest, const struct socket *socket)) {
        unsigned n_killed = 0;

        for (uint32_t i = 0; i < guest->n_buckets; i++)
                for (struct socket *socket = guest->buckets[i]; socket; socket = socket->next_in_bucket)
                        if (unwanted(guest, socket) && kill_socket(socket))
                                n_killed++;
        flush_notification(guest);
        return n_killed;
}

static bool is_denied(struct guest *guest, const struct socket *socket) {
        return !is_allowed(guest, socket);
}

static bool is_any(struct guest *guest, const struct socket *socket) {
        return true;
}

/* The policy is asked again for the next datagram of each. */
static void forget_judgements(struct guest *guest) {
        for (uint32_t i = 0; i < guest->n_buckets; i++)
                for (struct socket *socket = guest->buckets[i]; socket; socket = socket->next_in_bucket) {
                        free(socket->judged);
                        socket->judged = NULL;
                }
}

unsigned guest_apply_policy(struct guest *guest) {
        forget_judgements(guest);
        return kill_where(guest, is_denied);
}

unsigned guest_close_all(struct guest *guest) {
        return kill_where(guest, is_any);
}

/* The socket with the lowest serial number of at least serial. */
static struct socket *find_serial(struct guest *guest, uint64_t serial) {
        struct socket *found = NULL;

        for (uint32_t i = 0; i < guest->n_buckets; i++)
                for (struct socket *socket = guest->buckets[i]; socket; socket = socket->next_in_bucket)
                        if (socket->serial >= serial && (!found || socket->serial < found->serial))
                                found = socket;
        return found;
}

int guest_close_socket(struct guest *guest, uint64_t serial) {
        struct socket *socket = find_serial(guest, serial);

        if (!socket || socket->serial != serial || !kill_socket(socket))
                return -ENOENT;
        flush_notification(guest);
        return 0;
}

static const char *state_name(const struct socket *socket) {
        switch (socket->state) {
        case SOCKET_CONNECTING: return "Connecting";
        case SOCKET_EXPECTED: return "Accepting";
        case SOCKET_CONNECTED: return "Connected";
        case SOCKET_BOUND: return "Bound";
        case SOCKET_LISTENING: return "Listening";
        case SOCKET_CLOSING:
        case SOCKET_DEAD: return "Closing";
        default: return "New";
        }
}

bool guest_report(struct guest *guest, uint64_t serial, struct guest_socket_report *ret_report) {
        struct socket *socket = find_serial(guest, serial);

        if (!socket)
                return false;
        *ret_report = (struct guest_socket_report) {
                .serial = socket->serial,
                .state = state_name(socket),
                .family = socket->family,
                .type = socket->type,
                .joined = socket->join != NULL,
                .remote = socket->remote,
                .n_received = socket->stream.n_received,
                .n_sent = socket->stream.n_sent,
                .age_usec = now_usec() - socket->made_usec,
        };
        if (guest_join_local_name(socket, &ret_report->local) < 0 && socket->fd >= 0)
                (void) socket_local_name(socket, &ret_report->local);
        if (socket->attachment.indexes) {
                uint32_t untrusted_cons = atomic_load(&socket->stream.in.shared->cons);
                uint32_t untrusted_prod = atomic_load(&socket->stream.in.shared->prod);
                uint32_t untrusted_queued = (socket->stream.elsewhere ? untrusted_prod : socket->stream.in.prod) - untrusted_cons;

                if (socket->stream.elsewhere) {         /* the guest could have changed these: they are for people to look at */
                        ret_report->n_received = untrusted_prod;
                        ret_report->n_sent = atomic_load(&socket->stream.out.shared->cons);
                }
                ret_report->n_queued = untrusted_queued <= socket->stream.in.size ? untrusted_queued : 0;
        }
        return true;
}

uint32_t guest_n_sockets(const struct guest *guest) {
        return guest->n_sockets;
}
