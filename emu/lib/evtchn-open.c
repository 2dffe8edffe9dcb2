/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How a handle of event channels comes to be: by a new connection, or from the descriptor that was kept over exec(2).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "evtchn-fdinfo.h"
#include "evtchn-handle.h"

static xenevtchn_handle *give_up(xenevtchn_handle *xce, int r) {
        evtchn_handle_free(xce);
        errno = -r;
        return NULL;
}

/* Opens the daemon's connection and the epoll set around it. Returns 0 or a negative errno. */
static int handle_open(xenevtchn_handle *xce) {
        struct epoll_event event = { .data.u64 = EVTCHN_CONNECTION_DATA };
        int r;

        r = connection_open(&xce->connection, xce->cloexec);
        if (r < 0)
                return r;

        xce->epoll = epoll_create1(xce->cloexec ? EPOLL_CLOEXEC : 0);
        if (xce->epoll < 0 || epoll_ctl(xce->epoll, EPOLL_CTL_ADD, xce->connection.fd, &event) < 0)
                return -errno;
        return 0;
}

xenevtchn_handle *xenevtchn_open(xentoollog_logger *logger, unsigned int flags) {
        xenevtchn_handle *xce;
        int r;

        if (flags & ~(unsigned int) XENEVTCHN_NO_CLOEXEC) {
                errno = EINVAL;
                return NULL;
        }

        xce = evtchn_handle_new(logger);
        if (!xce)
                return NULL;
        xce->cloexec = !(flags & XENEVTCHN_NO_CLOEXEC);
        xce->shown = !xce->cloexec;     /* a program that is started has it */

        r = handle_open(xce);
        return r < 0 ? give_up(xce, r) : xce;
}

static bool is_connection(int fd) {
        socklen_t n = sizeof(int);
        int type;

        return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

/*
 * Sorts out what the epoll set of the program before exec(2) watches: finds the connection, and takes the ports' eventfds out and
 * closes them, because the daemon gives them again with the rest of what a port needs. A number that now belongs to another file is
 * left alone: the kernel does not find that file in the set.
 */
static int find_connection(int epoll, int *ret_fd) {
        struct evtchn_watch *watches;
        size_t n_watches;
        int fd = -1, r;

        r = evtchn_watches_read(epoll, &watches, &n_watches);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n_watches; i++)
                if (watches[i].data == EVTCHN_CONNECTION_DATA && is_connection(watches[i].fd))
                        fd = watches[i].fd;

        for (size_t i = 0; fd >= 0 && i < n_watches; i++)
                if (watches[i].data < EVTCHN_PORTS_MAX && epoll_ctl(epoll, EPOLL_CTL_DEL, watches[i].fd, NULL) == 0)
                        close(watches[i].fd);

        free(watches);
        if (fd < 0)
                return -EINVAL;
        *ret_fd = fd;
        return 0;
}

static int recover_port(xenevtchn_handle *xce, uint32_t number) {
        struct emu_id id = { .id = number };
        struct emu_port port;
        int fds[EMU_PORT_FDS], r;

        r = connection_call(&xce->connection, EMU_EVTCHN_GET, &id, sizeof id, &port, sizeof port, fds, EMU_PORT_FDS);
        return r < 0 ? r : evtchn_handle_add(xce, &port, fds);
}

static int recover_ports(xenevtchn_handle *xce) {
        struct {
                struct emu_list list;
                uint32_t ports[EMU_LIST_MAX];
        } reply;
        struct emu_id first = {};
        int r;

        for (;;) {
                r = connection_call(&xce->connection, EMU_EVTCHN_LIST, &first, sizeof first, &reply, sizeof reply, NULL, 0);
                if (r < 0 || reply.list.n_entries == 0)
                        return r;
                if (reply.list.n_entries > EMU_LIST_MAX || reply.list.entry_size != sizeof reply.ports[0])
                        return -EPROTO;

                for (uint32_t i = 0; i < reply.list.n_entries; i++) {
                        r = recover_port(xce, reply.ports[i]);
                        if (r < 0)
                                return r;
                }
                first.id = reply.ports[reply.list.n_entries - 1] + 1;
        }
}

/*
 * Events that came in since the old program looked are there; a port that had any before may give one too many. On failure the
 * descriptor is the caller's still, as in the real library.
 */
xenevtchn_handle *xenevtchn_fdopen(xentoollog_logger *logger, int fd, unsigned int flags) {
        xenevtchn_handle *xce;
        int fd_flags, r;

        if (flags) {
                errno = EINVAL;
                return NULL;
        }

        fd_flags = fcntl(fd, F_GETFD);
        if (fd_flags < 0)
                return NULL;

        xce = evtchn_handle_new(logger);
        if (!xce)
                return NULL;
        xce->cloexec = fd_flags & FD_CLOEXEC;
        xce->shown = true;

        r = find_connection(fd, &xce->connection.fd);
        if (r < 0) {
                connection_log(&xce->connection, -r, "descriptor %d is not one of xenevtchn_fd(), or its connection was closed", fd);
                return give_up(xce, r);
        }

        xce->epoll = fd;
        r = recover_ports(xce);
        if (r < 0) {
                connection_log(&xce->connection, -r, "cannot recover the ports of descriptor %d from xenemud", fd);
                xce->epoll = -1;
                xce->connection.fd = -1;
                return give_up(xce, r);
        }
        return xce;
}
