/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * An event channel handle: the connection that its ports belong to, the epoll descriptor that is readable when one of them has an
 * event, and the ports.
 *
 * The epoll descriptor is what xenevtchn_fd() gives away, and all that a program keeps when it calls exec(2). So it watches the
 * connection too, for no events, under a number that no port can have: xenevtchn_fdopen() finds the connection there, and the daemon
 * knows the rest.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <xenevtchn.h>

#include "connection.h"
#include "evtchn-ports.h"

#define EVTCHN_CONNECTION_DATA UINT64_C(0x78656e656d756400) /* "xenemud", beyond every port number */

struct xenevtchn_handle {
        struct connection connection;
        int epoll;
        bool cloexec;                           /* false: epoll, connection and receive eventfds survive exec(2) */
        _Atomic bool shown;                     /* somebody may have the descriptor, and change its flags; false: it blocks */
        _Atomic bool sleeps;                    /* xenevtchn_pending() found nothing and slept, the last time */
        pthread_rwlock_t lock;                  /* of ports: written to bind and unbind, read to use one */
        struct evtchn_ports ports;
};

/* Makes a handle without descriptors. Returns NULL and sets errno on failure. */
xenevtchn_handle *evtchn_handle_new(xentoollog_logger *logger);

/* Closes everything that belongs to the handle. The ports end when no other process has the connection. */
void evtchn_handle_free(xenevtchn_handle *xce);

/*
 * Takes up a port that the daemon has bound: maps its page, waits for its events. The descriptors are EMU_PORT_FDS and the handle's
 * from here on, also on failure. Returns 0 or a negative errno.
 */
int evtchn_handle_add(xenevtchn_handle *xce, const struct emu_port *port, int *fds);

/* Gives a port up, without telling the daemon. Returns false if it is not bound through this handle. */
bool evtchn_handle_remove(xenevtchn_handle *xce, uint32_t port);
