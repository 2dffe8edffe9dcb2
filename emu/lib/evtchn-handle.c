/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* An event channel handle and its ports' descriptors and memory; see evtchn-handle.h. */

#include "evtchn-handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* For xentoolcore_restrict_all(): event channels, unlike grants, can be restricted to one domain and stay useful. */
static int restrict_to_domain(struct toolcore_handle *handle, domid_t domid) {
        xenevtchn_handle *xce = (xenevtchn_handle *) handle;

        return xce->connection.fd < 0 ? 0 : xenevtchn_restrict(xce, domid);
}

xenevtchn_handle *evtchn_handle_new(xentoollog_logger *logger) {
        xenevtchn_handle *xce = calloc(1, sizeof *xce);
        int r;

        if (!xce)
                return NULL;

        xce->epoll = -1;
        r = connection_init(&xce->connection, "xenevtchn", logger, restrict_to_domain);
        if (r < 0) {
                free(xce);
                errno = -r;
                return NULL;
        }

        pthread_rwlock_init(&xce->lock, NULL);
        return xce;
}

static void port_deinit(struct evtchn_port *port) {
        munmap(port->page, EMU_PAGE_SIZE);
        close(port->receive);
        close(port->send);
}

/*
 * Nothing is taken out of the epoll set here: in a child after fork(2) the set is shared with the parent, which still waits on it.
 */
void evtchn_handle_free(xenevtchn_handle *xce) {
        struct evtchn_port *port;

        for (uint32_t i = 0; (port = evtchn_ports_next(&xce->ports, &i)); i++)
                port_deinit(port);
        evtchn_ports_deinit(&xce->ports);

        if (xce->epoll >= 0)
                close(xce->epoll);
        connection_deinit(&xce->connection);
        pthread_rwlock_destroy(&xce->lock);
        free(xce);
}

/* Makes port of what the daemon sent, which is in fds. Returns 0 or a negative errno. */
static int port_init(struct evtchn_port *port, const xenevtchn_handle *xce, uint32_t side, const int *fds) {
        void *page;

        for (size_t i = 0; i < EMU_PORT_FDS; i++)
                if (fds[i] < 0)
                        return -EPROTO;
        if (side > 1)
                return -EPROTO;

        /* Registrations in an epoll set outlive close(2) while the daemon holds the eventfd, and go by the number: keep it valid. */
        if (!xce->cloexec && fcntl(fds[EMU_PORT_FD_RECEIVE], F_SETFD, 0) < 0)
                return -errno;

        page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fds[EMU_PORT_FD_PAGE], 0);
        if (page == MAP_FAILED)
                return -errno;

        *port = (struct evtchn_port) {
                .page = page,
                .receive = fds[EMU_PORT_FD_RECEIVE],
                .send = fds[EMU_PORT_FD_SEND],
                .side = side,
        };
        return 0;
}

/* Puts port into the table and the epoll set. Events that it has already make the set readable at once. */
static int port_watch(xenevtchn_handle *xce, uint32_t number, const struct evtchn_port *port) {
        struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = number };
        struct evtchn_port taken;
        int r;

        pthread_rwlock_wrlock(&xce->lock);
        r = evtchn_ports_add(&xce->ports, number, port);
        if (r == 0 && epoll_ctl(xce->epoll, EPOLL_CTL_ADD, port->receive, &event) < 0) {
                r = -errno;
                evtchn_ports_take(&xce->ports, number, &taken);
        }
        pthread_rwlock_unlock(&xce->lock);
        return r;
}

int evtchn_handle_add(xenevtchn_handle *xce, const struct emu_port *emu_port, int *fds) {
        struct evtchn_port port;
        int r;

        r = port_init(&port, xce, emu_port->side, fds);
        if (r < 0) {
                for (size_t i = 0; i < EMU_PORT_FDS; i++)
                        if (fds[i] >= 0)
                                close(fds[i]);
                return r;
        }
        close(fds[EMU_PORT_FD_PAGE]);   /* the mapping is enough */

        r = port_watch(xce, emu_port->port, &port);
        if (r < 0)
                port_deinit(&port);
        return r;
}

bool evtchn_handle_remove(xenevtchn_handle *xce, uint32_t number) {
        struct evtchn_port port;
        bool found;

        pthread_rwlock_wrlock(&xce->lock);
        found = evtchn_ports_take(&xce->ports, number, &port);
        if (found)
                /* By hand: closing the eventfd is not enough, the daemon and the peer have it open too. */
                epoll_ctl(xce->epoll, EPOLL_CTL_DEL, port.receive, NULL);
        pthread_rwlock_unlock(&xce->lock);

        if (found)
                port_deinit(&port);
        return found;
}
