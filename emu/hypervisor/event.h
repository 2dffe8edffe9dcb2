/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Event channels: the ports of domains and how they are joined, after xen/common/event_channel.c of Xen 4.17.
 *
 * A port is unbound (waiting for one domain to bind to it), interdomain (joined to another port) or bound to a virtual interrupt.
 * When one end closes, the other is unbound again and may be bound anew by the same domain; the channel's memory and eventfds,
 * which its processes hold, stay what they were. Notifications do not come through here: see channel.h.
 *
 * A port is counted: the handle that made it holds it, and so does everything that is to be notified through it.
 */

#include <stdint.h>

#include "channel.h"
#include "domain.h"

#define EVENT_N_VIRQS 24u               /* xen.h, NR_VIRQS */
#define EVENT_VIRQ_DOM_EXC 3u           /* xen.h, VIRQ_DOM_EXC */

struct channel;

struct port {
        struct domain *domain;
        uint32_t number;
        enum emu_evtchn_state state;
        uint32_t remote_domid;          /* unbound: who may bind */
        struct port *remote;            /* interdomain */
        uint32_t virq;                  /* virtual interrupt */

        struct channel *channel;
        unsigned int side;
        unsigned int n_refs;

        const struct handle *handle;    /* who made it, NULL once that is gone */
        LIST_ENTRY(port) of_handle;
};

LIST_HEAD(port_list, port);

/* Each of these returns 0 and a port with one reference, -ENOSPC if the domain has all its ports, -ENOMEM or -EMFILE. */
int event_alloc_unbound(struct domain *domain, uint32_t untrusted_remote_domid, struct port **ret_port);

/* Also -ESRCH without such a domain, and -EINVAL if that port is closed, already bound, or waits for another domain. */
int event_bind_interdomain(struct domain *domain, uint32_t untrusted_remote_domid, uint32_t untrusted_remote_port,
                           struct port **ret_port);

/* Also -EINVAL without such an interrupt and -EEXIST if the domain has bound it already. */
int event_bind_virq(struct domain *domain, uint32_t untrusted_virq, struct port **ret_port);

/* Sends an event to the other end, if there is one. */
void port_notify(struct port *port);

/* Raises a virtual interrupt in the domain, if it listens. */
void event_raise_virq(struct domain *domain, uint32_t virq);

struct port *port_ref(struct port *port);

/* The last reference closes the port. Always returns NULL. */
struct port *port_unref(struct port *port);

/* The channel's descriptors from this port's point of view. They stay the channel's. */
void port_get_fds(const struct port *port, int ret_fds[EMU_PORT_FDS]);

void port_describe(const struct port *port, struct emu_evtchn_status *ret_status);
