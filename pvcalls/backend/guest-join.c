/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guest-join.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "error.h"
#include "indexes.h"
#include "joint.h"
#include "name-text.h"

#define PORT_FIRST 32768u               /* of the ports that connecting sockets are said to have: no socket of the host has them for that */

#define ABSENT_USEC 1000u               /* for so long nobody is looked for again where nobody was: of many connections in a row, one looks */

#define PORT_TRIES 200u                 /* one for each tick of the guest's timer: two seconds */

/* From the connecting guest's backend to the other one. The answer to all of them is the end of the connection. */
enum join_what {
        JOIN_GO = 1,                    /* the port is free to be bound */
        JOIN_SHUTDOWN,                  /* how, and where out ends */
        JOIN_RELEASE,                   /* where out ends, after which all ends; how: 1 by a reset, 0 orderly */
};

struct join_message {
        uint32_t what, how, out_prod;
};

struct join {
        int fd;                         /* to the other backend */
        bool carries;                   /* this side moves the bytes */
        bool ending;                    /* released: what comes is what is left; or it was told to leave off */
        struct pvcalls_name local;
        /* of the side that moves the bytes: */
        struct joint joint;
        struct pvcalls_indexes *indexes;
        uint8_t *data;
        uint32_t n_pages, domid, evtchn, port;
};

/* "who" at an address, in a namespace that is as wide as the network namespace: as loopback is. */
static int make_name(const struct guest *guest, const char *what, struct sockaddr_un *ret_address, socklen_t *ret_size) {
        int n;

        *ret_address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        n = snprintf(ret_address->sun_path + 1, sizeof ret_address->sun_path - 1, "xcp-pvcalls/%s/%s", guest->terms->join, what);
        if (n >= (int) sizeof ret_address->sun_path - 1)
                return -ENAMETOOLONG;
        *ret_size = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + 1 + (size_t) n);
        return 0;
}

static bool is_loopback(const struct pvcalls_name *name) {
        if (name->any.sa_family == AF_INET)
                return ntohl(name->inet.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
        return name->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&name->inet6.sin6_addr);
}

static bool is_any(const struct pvcalls_name *name) {
        if (name->any.sa_family == AF_INET)
                return name->inet.sin_addr.s_addr == INADDR_ANY;
        return name->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&name->inet6.sin6_addr);
}

static int open_rendezvous(void) {
        return socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static bool is_one_of_us(int fd) {
        struct ucred peer;
        socklen_t size = sizeof peer;

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == getuid();
}

void guest_join_listen(struct socket *socket, int backlog) {
        struct pvcalls_name name;
        struct sockaddr_un address;
        char text[NAME_TEXT_SIZE];
        socklen_t size;

        if (socket->join_listener >= 0) {
                (void) listen(socket->join_listener, backlog);
                return;
        }
        socket->guest->absent_until = 0;
        if (!socket->guest->terms->join || socket_local_name(socket, &name) < 0 || (!is_loopback(&name) && !is_any(&name)) ||
            make_name(socket->guest, name_text(&name, text), &address, &size) < 0)
                return;
        socket->join_listener = open_rendezvous();
        if (socket->join_listener < 0)
                return;
        if (bind(socket->join_listener, (const struct sockaddr *) &address, size) < 0 || listen(socket->join_listener, backlog) < 0 ||
            guest_watch_fd(socket->guest, socket, socket->join_listener, EPOLL_CTL_ADD, 0) < 0)
                guest_join_unlisten(socket);
}

void guest_join_unlisten(struct socket *socket) {
        if (socket->join_listener >= 0)
                close(socket->join_listener);
        socket->join_listener = -1;
}

static void say(struct join *join, enum join_what what, uint32_t how, uint32_t out_prod) {
        const struct join_message message = { what, how, out_prod };

        (void) send(join->fd, &message, sizeof message, MSG_DONTWAIT | MSG_NOSIGNAL);   /* if it is gone, that is told by itself */
}

/* All that the other side has to know is in the name that we connect from: there is nothing to be waited for. */
static int bind_as(struct guest *guest, int fd, const struct socket *socket, const struct pvcalls_name *local) {
        struct sockaddr_un from;
        char what[96], text[NAME_TEXT_SIZE];
        socklen_t size;
        int r;

        snprintf(what, sizeof what, "of %u %u %u %d %s", guest->xen->domid, socket->attachment.ref, socket->attachment.evtchn, guest->suppress,
                 name_text(local, text));
        r = make_name(guest, what, &from, &size);
        if (r < 0)
                return r;
        return bind(fd, (const struct sockaddr *) &from, size) < 0 ? -errno : 0;
}

/* What the connecting socket is said to be: what it is bound to, or a port that tells it from others. */
static void make_local_name(const struct socket *socket, const struct pvcalls_name *address, struct pvcalls_name *ret_name) {
        struct pvcalls_name bound;

        *ret_name = *address;
        pvcalls_name_set_port(ret_name, htons((uint16_t) (PORT_FIRST + socket->serial % (65536 - PORT_FIRST))));
        if (socket->bound && socket_local_name(socket, &bound) == 0)
                pvcalls_name_set_port(ret_name, pvcalls_name_port(&bound));
}

/* Tries the listener of one address. */
static int try_connect(struct guest *guest, int fd, const struct pvcalls_name *address) {
        struct sockaddr_un to;
        char text[NAME_TEXT_SIZE];
        socklen_t size;
        int r;

        r = make_name(guest, name_text(address, text), &to, &size);
        if (r < 0)
                return r;
        if (connect(fd, (const struct sockaddr *) &to, size) < 0)
                return -errno;
        return is_one_of_us(fd) ? 0 : -EPERM;
}

/* Tries the address's listener, and that of any address. Returns a descriptor, or a negative errno. */
static int find_listener(struct socket *socket, const struct pvcalls_name *address, const struct pvcalls_name *local) {
        AUTO_CLOSE int fd = open_rendezvous();
        struct pvcalls_name any;
        int r;

        if (fd < 0)
                return -errno;
        r = bind_as(socket->guest, fd, socket, local);
        if (r < 0)
                return r;
        r = try_connect(socket->guest, fd, address);
        if (r == -ECONNREFUSED) {       /* nobody has that name: the socket can still be connected */
                pvcalls_name_init(&any, address->any.sa_family);
                pvcalls_name_set_port(&any, pvcalls_name_port(address));
                r = try_connect(socket->guest, fd, &any);
        }
        if (r < 0)
                return r;
        r = fd;
        fd = -1;
        return r;
}

/* Whether a look would be in vain, as far as is known: TCP is right as well, if somebody has come meanwhile. */
static bool is_absent(const struct guest *guest, const struct pvcalls_name *address, uint64_t now) {
        return now < guest->absent_until && pvcalls_name_equal(&guest->absent, address);
}

static void remember_absent(struct guest *guest, const struct pvcalls_name *address, uint64_t now) {
        guest->absent = *address;
        guest->absent_until = now + ABSENT_USEC;
}

bool guest_join_connect(struct socket *socket, const struct pvcalls_name *address) {
        struct guest *guest = socket->guest;
        uint64_t now;
        struct pvcalls_name local;
        struct join *join;
        int fd;

        /* The other backend would not know of this guest's rate. */
        if (!guest->terms->join || guest->terms->limits.bytes_per_second > 0 || socket->type != SOCK_STREAM || !is_loopback(address))
                return false;
        now = guest_now(guest);
        if (is_absent(guest, address, now))
                return false;
        make_local_name(socket, address, &local);
        fd = find_listener(socket, address, &local);
        if (fd == -ECONNREFUSED)
                remember_absent(guest, address, now);
        if (fd < 0)
                return false;
        join = calloc(1, sizeof *join);
        if (!join || guest_watch_fd(guest, socket, fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0) {
                free(join);
                close(fd);
                return false;
        }
        *join = (struct join) { .fd = fd, .local = local };
        socket->join = join;
        socket->stream.elsewhere = true;
        socket_give_port(socket);
        say(join, JOIN_GO, 0, 0);
        return true;
}

static void join_free(struct guest *guest, struct join *join) {
        if (join->port) {
                guest->ports[join->port] = NULL;
                xen_unbind(guest->xen, join->port);
        }
        if (join->data)
                xen_unmap(guest->xen, join->data, join->n_pages);
        if (join->indexes)
                xen_unmap(guest->xen, join->indexes, 1);
        if (join->fd >= 0)
                close(join->fd);        /* after all else: who sees it knows that we have nothing of it any more */
        free(join);
}

/* The connection has failed; this side's guest is told as well as the other one. */
static void break_off(struct socket *socket, int error) {
        stream_fail(&socket->stream, -ECONNRESET);
        guest_join_end(socket, error);
        guest_enqueue(socket);
}

/* The pages of the other guest's socket. Its backend has looked at them as well; it is not asked what it saw. */
static int map_other(struct guest *guest, struct join *join, uint32_t ref, bool suppress) {
        static struct data_pages pages;
        void *address;
        int r;

        r = xen_map_from(guest->xen, join->domid, &ref, 1, &address);
        if (r < 0)
                return r;
        join->indexes = address;
        r = indexes_read(join->indexes, PVCALLS_ORDER_MAX, &pages);
        if (r == 0)
                r = xen_map_from(guest->xen, join->domid, pages.refs, pages.n_refs, &address);
        if (r < 0)
                return r;
        join->data = address;
        join->n_pages = pages.n_refs;
        joint_init(&join->joint, join->indexes, join->data, pvcalls_half(pages.order), suppress);
        return 0;
}

/* Reads the name that it connects from. The address in it is in a form that name_text() has made. */
static int parse_who(const struct guest *guest, const struct sockaddr_un *from, socklen_t size, struct join *join, uint32_t *ret_ref,
                     int *ret_suppress, struct pvcalls_name *ret_remote) {
        char name[sizeof from->sun_path + 1] = "", prefix[sizeof name + 16], address[64];
        unsigned port;
        int n;

        if (size <= offsetof(struct sockaddr_un, sun_path) + 1)
                return -EBADMSG;
        memcpy(name, from->sun_path + 1, size - offsetof(struct sockaddr_un, sun_path) - 1);
        n = snprintf(prefix, sizeof prefix, "xcp-pvcalls/%s/of ", guest->terms->join);
        if (strncmp(name, prefix, (size_t) n) != 0 || sscanf(name + n, "%" SCNu32 " %" SCNu32 " %" SCNu32 " %d %63s %u", &join->domid, ret_ref,
                                                             &join->evtchn, ret_suppress, address, &port) != 6)
                return -EBADMSG;
        pvcalls_name_init(ret_remote, strchr(address, ':') ? AF_INET6 : AF_INET);
        if (inet_pton(ret_remote->any.sa_family, address, ret_remote->any.sa_family == AF_INET ? (void *) &ret_remote->inet.sin_addr
                                                                                              : &ret_remote->inet6.sin6_addr) != 1)
                return -EBADMSG;
        pvcalls_name_set_port(ret_remote, htons((uint16_t) port));
        return 0;
}

int guest_join_take(struct socket *listener, struct join **ret_join, struct pvcalls_name *ret_remote) {
        struct sockaddr_un from;
        socklen_t size = sizeof from;
        struct join *join;
        uint32_t ref;
        int fd, suppress, r;

        if (listener->join_listener < 0)
                return -EAGAIN;
        fd = accept4(listener->join_listener, (struct sockaddr *) &from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
                return errno == ECONNABORTED || errno == EINTR ? JOIN_IS_BAD : -errno;
        join = calloc(1, sizeof *join);
        if (!join) {
                close(fd);
                return JOIN_IS_BAD;
        }
        join->fd = fd;
        join->carries = true;
        r = is_one_of_us(fd) ? parse_who(listener->guest, &from, size, join, &ref, &suppress, ret_remote) : -EPERM;
        if (r == 0)
                r = map_other(listener->guest, join, ref, suppress != 0);
        if (r == 0)
                r = socket_local_name(listener, &join->local);
        if (r < 0) {
                join_free(listener->guest, join);
                return JOIN_IS_BAD;
        }
        if (is_any(&join->local)) {     /* it is called as the other has called it */
                uint16_t port = pvcalls_name_port(&join->local);

                join->local = *ret_remote;
                pvcalls_name_set_port(&join->local, port);
        }
        *ret_join = join;
        return 0;
}

void guest_join_open(struct socket *socket, struct join *join) {
        socket->join = join;
        socket->stream.joint = &join->joint;
        socket->state = SOCKET_CONNECTED;
        if (guest_watch_fd(socket->guest, socket, join->fd, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0)
                break_off(socket, -ECONNRESET);
        guest_enqueue(socket);
}

/* The other guest's port is free: what it says comes to us. If it is not, its backend has ended the connection, and bound it again. */
static void bind_other(struct socket *socket) {
        struct guest *guest = socket->guest;
        struct join *join = socket->join;

        if (join->port)
                return;
        if (xen_bind_from(guest->xen, join->domid, join->evtchn, &join->port) < 0)
                join->port = 0;
        else if (socket_set_port(guest, join->port, socket) < 0) {
                xen_unbind(guest->xen, join->port);
                join->port = 0;
        }
        if (join->port)
                xen_notify(guest->xen, join->port);     /* of what was done before there was a port */
        else
                break_off(socket, -ECONNRESET);
}

static void take_message(struct socket *socket, const struct join_message *message) {
        struct joint *joint = &socket->join->joint;

        if (message->what == JOIN_GO) {
                bind_other(socket);
                return;
        }
        if (message->what == JOIN_RELEASE || message->how != PVCALLS_SHUTDOWN_READ) {
                if (!joint->out_ends)
                        joint->out_end = message->out_prod;
                joint->out_ends = true;
        }
        if (message->what == JOIN_RELEASE) {
                socket->join->ending = true;   /* what comes is what is left */
                joint->resets = message->how != 0;
        }
        if (message->what == JOIN_RELEASE || message->how != PVCALLS_SHUTDOWN_WRITE)
                joint_end_in(joint, PVCALLS_ENOTCONN);
}

/* All that it has sent is on its way, or it is gone. */
static void other_has_ended(struct socket *socket) {
        bool orderly = socket->join->ending && socket->join->joint.out_done;

        if (!orderly) {
                break_off(socket, -ECONNRESET);
                return;
        }
        guest_join_end(socket, 0);
        guest_enqueue(socket);
}

void guest_join_ready(struct socket *socket) {
        struct join_message message;
        ssize_t n;

        while (socket->join && (n = recv(socket->join->fd, &message, sizeof message, MSG_DONTWAIT)) == sizeof message)
                if (socket->join->carries)
                        take_message(socket, &message);
        if (!socket->join || (n < 0 && errno == EAGAIN)) {
                guest_enqueue(socket);
                return;
        }
        if (socket->join->carries)
                other_has_ended(socket);
        else
                guest_join_end(socket, 0);
}

void guest_join_ran(struct socket *socket, bool notify) {
        struct join *join = socket->join;

        if (notify && join->port) {
                xen_notify(socket->guest->xen, join->port);
                socket->guest->terms->counters.notifications++;
        }
        if (join->joint.lied) {
                break_off(socket, -EIO);
        } else if (join->ending && join->joint.out_done) {     /* released, and nothing is left */
                stream_end_out(&socket->stream, pvcalls_error_to_wire(join->joint.resets ? -ECONNRESET : -EPIPE));
                guest_join_end(socket, 0);
                guest_enqueue(socket);
        }
}

void guest_join_shutdown(struct socket *socket, uint32_t how, uint32_t out_prod) {
        say(socket->join, JOIN_SHUTDOWN, how, out_prod);
}

void guest_join_release(struct socket *socket) {
        say(socket->join, JOIN_RELEASE, guest_wants_reset(socket), atomic_load(&socket->attachment.indexes->out.prod));
}

bool guest_join_abort(struct socket *socket) {
        if (!socket->join || socket->join->carries || socket->join->ending)
                return false;
        socket->join->ending = true;
        (void) shutdown(socket->join->fd, SHUT_WR);
        return true;
}

/* A backend that was killed still has the port for a moment. */
static void wait_for_port(struct socket *socket) {
        socket->port_tries = PORT_TRIES;
        socket->guest->n_ports_missing++;
        guest_set_timer(socket->guest);
}

/* What the other backend has told the guest stays; if it was killed, it has told nothing. */
static void end_here(struct socket *socket) {
        struct stream *stream = &socket->stream;

        stream->elsewhere = false;
        stream->in_done = atomic_load(&stream->in.shared->error) != 0;
        stream->out_done = atomic_load(&stream->out.shared->error) != 0;
        if (socket->state == SOCKET_CONNECTED)
                stream_fail(stream, -ECONNRESET);
        stream->in_done = stream->out_done = true;
        if (socket_take_port(socket) < 0)
                wait_for_port(socket);
        guest_enqueue(socket);
}

void guest_join_end(struct socket *socket, int error) {
        struct join *join = socket->join;

        if (!join)
                return;
        socket->join = NULL;
        socket->stream.joint = NULL;
        if (join->carries) {
                joint_end_in(&join->joint, error ? pvcalls_error_to_wire(error) : PVCALLS_ENOTCONN);
                joint_end_out(&join->joint, pvcalls_error_to_wire(error ?: -EPIPE));
                if (join->port)
                        xen_notify(socket->guest->xen, join->port);
        }
        socket->masked_other = 0;
        join_free(socket->guest, join);
        if (socket->stream.elsewhere)
                end_here(socket);
}

bool guest_join_rebind(struct guest *guest) {
        for (uint32_t i = 0; guest->n_ports_missing > 0 && i < guest->n_buckets; i++)
                for (struct socket *socket = guest->buckets[i]; socket; socket = socket->next_in_bucket)
                        if (socket->port_tries > 0 && (socket_take_port(socket) == 0 || --socket->port_tries == 0)) {
                                socket->port_tries = 0;
                                guest->n_ports_missing--;
                        }
        return guest->n_ports_missing > 0;
}

int guest_join_local_name(const struct socket *socket, struct pvcalls_name *ret_name) {
        if (!socket->join)
                return -ENOTCONN;
        *ret_name = socket->join->local;
        return 0;
}
