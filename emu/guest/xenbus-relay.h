/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The xenbus relay: the event loop around the multiplexer. Clients connect to a listening socket, which is what opening Linux's
 * /dev/xen/xenbus is; xenstored is at the other end of a shared page and an event channel.
 *
 * When xenstored breaks the rules of the ring, or says that it has stopped serving it, the relay stops for good: clients are cut off,
 * new ones refused, and the log says why. Nothing else of the domain is affected.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>
#include <xen/io/xs_wire.h>

#include "event-port.h"

struct xenbus_relay;

/*
 * page: the shared page. port: the event channel, both must outlive the relay. listen_fd: taken over on success.
 * introduced: whether xenstored knows the domain already, as it knows domain 0.
 *
 * Returns 0 or a negative errno.
 */
int xenbus_relay_new(struct xenbus_relay **ret_relay, sd_event *event, struct xenstore_domain_interface *page, struct event_port *port,
                     int listen_fd, bool introduced);
struct xenbus_relay *xenbus_relay_free(struct xenbus_relay *relay);
