/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Event channels; see event.h. */

#include "event.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory.h"

struct channel {
        int page_fd;
        struct channel_page *page;
        int eventfds[2];
        unsigned int n_ports;
};

static struct channel *channel_free(struct channel *channel) {
        if (!channel)
                return NULL;

        if (channel->page)
                munmap(channel->page, EMU_PAGE_SIZE);
        for (int side = 0; side < 2; side++)
                if (channel->eventfds[side] >= 0)
                        close(channel->eventfds[side]);
        if (channel->page_fd >= 0)
                close(channel->page_fd);
        free(channel);
        return NULL;
}

static int channel_new(struct channel **ret_channel) {
        struct channel *channel;
        void *page;
        int r = 0;

        channel = calloc(1, sizeof *channel);
        if (!channel)
                return -ENOMEM;

        channel->eventfds[0] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        channel->eventfds[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (channel->eventfds[0] < 0 || channel->eventfds[1] < 0)
                r = -errno;

        channel->page_fd = memory_new("event-channel", 1, F_SEAL_SEAL);
        if (r == 0 && channel->page_fd < 0)
                r = channel->page_fd;
        if (r == 0) {
                page = mmap(NULL, EMU_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, channel->page_fd, 0);
                if (page == MAP_FAILED)
                        r = -errno;
                else
                        channel->page = page;
        }

        if (r < 0) {
                channel_free(channel);
                return r;
        }
        *ret_channel = channel;
        return 0;
}

/*
 * Sends an event to one side. Whoever holds the other end of the eventfd can have made it blocking and filled it; the hypervisor
 * must not wait for them.
 */
static void channel_send(struct channel *channel, unsigned int side) {
        int flags = fcntl(channel->eventfds[side], F_GETFL);

        if (flags >= 0 && (flags & O_NONBLOCK))
                (void) channel_notify(&channel->page->word[side], channel->eventfds[side]);
}

/* Makes a port of domain at one side of channel, and closes an unused channel if it cannot. */
static int port_new(struct domain *domain, struct channel *channel, unsigned int side, struct port **ret_port) {
        struct port *port;
        int r;

        port = calloc(1, sizeof *port);
        if (!port)
                r = -ENOMEM;
        else
                r = slots_add(&domain->ports, 1, domain->limits.ports + 1, port, &port->number);
        if (r < 0) {
                free(port);
                if (channel->n_ports == 0)
                        channel_free(channel);
                return r;
        }

        port->domain = domain;
        port->channel = channel;
        port->side = side;
        port->n_refs = 1;
        channel->n_ports++;
        *ret_port = port;
        return 0;
}

/* Makes a port at the first side of a channel of its own. */
static int port_new_first(struct domain *domain, struct port **ret_port) {
        struct channel *channel;
        int r;

        r = channel_new(&channel);
        return r < 0 ? r : port_new(domain, channel, 0, ret_port);
}

int event_alloc_unbound(struct domain *domain, uint32_t untrusted_remote_domid, struct port **ret_port) {
        struct port *port;
        int r;

        r = port_new_first(domain, &port);
        if (r < 0)
                return r;

        /* Xen does not ask whether that domain exists: it may yet be created. */
        port->state = EMU_EVTCHN_UNBOUND;
        port->remote_domid = untrusted_remote_domid == EMU_DOMID_SELF ? domain->domid : untrusted_remote_domid;
        *ret_port = port;
        return 0;
}

int event_bind_interdomain(struct domain *domain, uint32_t untrusted_remote_domid, uint32_t untrusted_remote_port,
                           struct port **ret_port) {
        struct domain *remote_domain;
        struct port *port, *remote;
        int r;

        r = domain_table_find(domain->table, domain, untrusted_remote_domid, &remote_domain);
        if (r < 0)
                return r;

        remote = slots_get(&remote_domain->ports, untrusted_remote_port);
        if (!remote || remote->state != EMU_EVTCHN_UNBOUND || remote->remote_domid != domain->domid)
                return -EINVAL;

        r = port_new(domain, remote->channel, !remote->side, &port);
        if (r < 0)
                return r;

        port->state = remote->state = EMU_EVTCHN_INTERDOMAIN;
        port->remote = remote;
        remote->remote = port;

        /*
         * "We may have lost notifications on the remote unbound port. Fix that up here by conservatively always setting a
         * notification on the local port": evtchn_bind_interdomain(). Whatever an earlier owner of this side left is void.
         */
        atomic_store(&port->channel->page->word[port->side], 0);
        channel_send(port->channel, port->side);

        *ret_port = port;
        return 0;
}

static struct port *find_virq(struct domain *domain, uint32_t virq) {
        uint32_t i = 0;

        for (struct port *port; (port = slots_next(&domain->ports, &i)); i++)
                if (port->state == EMU_EVTCHN_VIRQ && port->virq == virq)
                        return port;
        return NULL;
}

int event_bind_virq(struct domain *domain, uint32_t untrusted_virq, struct port **ret_port) {
        struct port *port;
        int r;

        if (untrusted_virq >= EVENT_N_VIRQS)
                return -EINVAL;
        if (find_virq(domain, untrusted_virq))
                return -EEXIST;

        r = port_new_first(domain, &port);
        if (r < 0)
                return r;

        port->state = EMU_EVTCHN_VIRQ;
        port->virq = untrusted_virq;
        *ret_port = port;
        return 0;
}

void event_raise_virq(struct domain *domain, uint32_t virq) {
        struct port *port = find_virq(domain, virq);

        if (port)
                channel_send(port->channel, port->side);
}

void port_notify(struct port *port) {
        if (port->state == EMU_EVTCHN_INTERDOMAIN)
                channel_send(port->channel, !port->side);
}

struct port *port_ref(struct port *port) {
        port->n_refs++;
        return port;
}

struct port *port_unref(struct port *port) {
        if (!port)
                return NULL;

        assert(port->n_refs > 0);
        if (--port->n_refs > 0)
                return NULL;

        if (port->state == EMU_EVTCHN_INTERDOMAIN) {
                port->remote->state = EMU_EVTCHN_UNBOUND;
                port->remote->remote_domid = port->domain->domid;
                port->remote->remote = NULL;
        }

        if (--port->channel->n_ports == 0)
                channel_free(port->channel);
        slots_take(&port->domain->ports, port->number);
        free(port);
        return NULL;
}

void port_get_fds(const struct port *port, int ret_fds[EMU_PORT_FDS]) {
        ret_fds[EMU_PORT_FD_PAGE] = port->channel->page_fd;
        ret_fds[EMU_PORT_FD_RECEIVE] = port->channel->eventfds[port->side];
        ret_fds[EMU_PORT_FD_SEND] = port->channel->eventfds[!port->side];
}

void port_describe(const struct port *port, struct emu_evtchn_status *ret_status) {
        *ret_status = (struct emu_evtchn_status) { .state = port->state };

        if (port->state == EMU_EVTCHN_UNBOUND)
                ret_status->remote_domid = port->remote_domid;
        else if (port->state == EMU_EVTCHN_INTERDOMAIN) {
                ret_status->remote_domid = port->remote->domain->domid;
                ret_status->remote_port = port->remote->number;
        } else if (port->state == EMU_EVTCHN_VIRQ)
                ret_status->virq = port->virq;
}
