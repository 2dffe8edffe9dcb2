/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libxenevtchn.so.1 of emulated Xen: xenevtchn.h over xenemud, with the errors of Linux's /dev/xen/evtchn.
 *
 * The daemon is asked to bind and unbind. Sending, receiving and unmasking are atomics in the channel's page and, if somebody has to
 * wake up for it, a write to an eventfd (channel.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/single_threaded.h>
#include <unistd.h>

#include "evtchn-handle.h"

/* As system calls report: -1 and errno for a negative errno. */
static int result(int r) {
        if (r >= 0)
                return r;
        errno = -r;
        return -1;
}

int xenevtchn_close(xenevtchn_handle *xce) {
        if (xce)
                evtchn_handle_free(xce);
        return 0;
}

int xenevtchn_fd(xenevtchn_handle *xce) {
        atomic_store_explicit(&xce->shown, true, memory_order_relaxed);
        return xce->epoll;
}

static int daemon_unbind(xenevtchn_handle *xce, uint32_t port) {
        struct emu_id id = { .id = port };

        return connection_call(&xce->connection, EMU_EVTCHN_UNBIND, &id, sizeof id, NULL, 0, NULL, 0);
}

static int port_bind(xenevtchn_handle *xce, uint32_t op, const void *argument, size_t n_argument) {
        struct emu_port port = {};
        int fds[EMU_PORT_FDS], r;

        r = connection_call(&xce->connection, op, argument, n_argument, &port, sizeof port, fds, EMU_PORT_FDS);
        if (r < 0 && r != -EMFILE)
                return result(r);

        if (r == 0)
                r = evtchn_handle_add(xce, &port, fds);
        if (r < 0) {
                if (port.port != 0) /* bound, but there is no room for it in this process */
                        daemon_unbind(xce, port.port);
                return result(r);
        }
        return (int) port.port;
}

xenevtchn_port_or_error_t xenevtchn_bind_unbound_port(xenevtchn_handle *xce, uint32_t domid) {
        struct emu_evtchn_remote remote = { .domid = domid };

        return port_bind(xce, EMU_EVTCHN_ALLOC_UNBOUND, &remote, sizeof remote);
}

xenevtchn_port_or_error_t xenevtchn_bind_interdomain(xenevtchn_handle *xce, uint32_t domid, evtchn_port_t remote_port) {
        struct emu_evtchn_remote remote = { .domid = domid, .port = remote_port };

        return port_bind(xce, EMU_EVTCHN_BIND_INTERDOMAIN, &remote, sizeof remote);
}

xenevtchn_port_or_error_t xenevtchn_bind_virq(xenevtchn_handle *xce, unsigned int virq) {
        struct emu_evtchn_virq argument = { .virq = virq };

        return port_bind(xce, EMU_EVTCHN_BIND_VIRQ, &argument, sizeof argument);
}

/* Here first, then at the daemon: once it knows, it may give the number to another thread's port. */
int xenevtchn_unbind(xenevtchn_handle *xce, evtchn_port_t port) {
        if (port >= EVTCHN_PORTS_MAX)
                return result(-EINVAL);
        if (!evtchn_handle_remove(xce, port))
                return result(-ENOTCONN);
        return result(connection_post(&xce->connection, EMU_EVTCHN_UNBIND, &(struct emu_id) { .id = port }, sizeof(struct emu_id)));
}

int xenevtchn_restrict(xenevtchn_handle *xce, domid_t domid) {
        struct emu_id id = { .id = domid };

        return result(connection_call(&xce->connection, EMU_EVTCHN_RESTRICT, &id, sizeof id, NULL, 0, NULL, 0));
}

/* Keeps other threads from unbinding ports while one is used; costs nothing in a program that has only one thread. */
static bool ports_lock(xenevtchn_handle *xce) {
        bool needed = !__libc_single_threaded;

        if (needed)
                pthread_rwlock_rdlock(&xce->lock);
        return needed;
}

static void ports_unlock(xenevtchn_handle *xce, bool locked) {
        if (locked)
                pthread_rwlock_unlock(&xce->lock);
}

int xenevtchn_notify(xenevtchn_handle *xce, evtchn_port_t number) {
        struct evtchn_port *port;
        bool locked;
        int r = -ENOTCONN;

        locked = ports_lock(xce);
        port = evtchn_ports_get(&xce->ports, number);
        if (port)
                r = channel_notify(&port->page->word[1 - port->side], port->send);
        ports_unlock(xce, locked);
        return result(r);
}

/* A port that is not bound is no error: Linux skips such ports in what is written to the device. */
int xenevtchn_unmask(xenevtchn_handle *xce, evtchn_port_t number) {
        struct evtchn_port *port;
        bool locked;
        int r = 0;

        locked = ports_lock(xce);
        port = evtchn_ports_get(&xce->ports, number);
        if (port)
                r = channel_unmask(&port->page->word[port->side], port->receive);
        ports_unlock(xce, locked);
        return result(r);
}

/*
 * Takes the event that made the epoll set readable; false if its port has been unbound meanwhile.
 *
 * A wake-up without PENDING is passed on as an event. It can follow a bind, when a notification was under way, and a peer can make
 * it. Going back to sleep would let that peer lock up a program that called us because poll(2) said so; an event too many is
 * something that every user of event channels has to cope with.
 */
static bool take_event(xenevtchn_handle *xce, uint64_t number) {
        struct evtchn_port *port;
        bool locked;

        locked = ports_lock(xce);
        port = number < EVTCHN_PORTS_MAX ? evtchn_ports_get(&xce->ports, number) : NULL;
        if (port)
                channel_deliver(&port->page->word[port->side]);
        ports_unlock(xce, locked);
        return port;
}

/*
 * Waits as read(2) from the device does: at all only if the descriptor, whose flags are the caller's to set at any time, may block.
 *
 * Most programs poll first, so an event is there and the flags need not be asked for. Those that sleep here once do so again, so for
 * them the flags come first: each has one system call less. Nobody changes the flags of a descriptor that was never asked for.
 */
static int wait_for_event(xenevtchn_handle *xce, struct epoll_event *ret_event) {
        bool sleeps = atomic_load_explicit(&xce->sleeps, memory_order_relaxed);
        int flags, r = 0;

        if (!atomic_load_explicit(&xce->shown, memory_order_relaxed))
                return epoll_wait(xce->epoll, ret_event, 1, -1);
        if (!sleeps)
                r = epoll_wait(xce->epoll, ret_event, 1, 0);
        if (r != 0)
                return r;

        flags = fcntl(xce->epoll, F_GETFL);
        if (flags < 0)
                return -1;
        if (!(flags & O_NONBLOCK)) {
                atomic_store_explicit(&xce->sleeps, true, memory_order_relaxed);
                return epoll_wait(xce->epoll, ret_event, 1, -1);
        }

        if (sleeps) {
                atomic_store_explicit(&xce->sleeps, false, memory_order_relaxed);
                r = epoll_wait(xce->epoll, ret_event, 1, 0);
        }
        if (r == 0) {
                errno = EAGAIN;
                r = -1;
        }
        return r;
}

xenevtchn_port_or_error_t xenevtchn_pending(xenevtchn_handle *xce) {
        struct epoll_event event;

        for (;;) {
                if (wait_for_event(xce, &event) < 0)
                        return -1;
                if (event.data.u64 == EVTCHN_CONNECTION_DATA) { /* hung up: xenemud is gone, and with it all ports */
                        errno = EIO;
                        return -1;
                }
                if (take_event(xce, event.data.u64))
                        return (int) event.data.u64;
        }
}
