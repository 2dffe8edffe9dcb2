/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What sockets have of the guest's: pages and ports, found by port when an event comes.
 *
 * To map pages and bind a port takes longer than all else that a short connection costs. A guest that sets `reuse` at RELEASE gets the same
 * again without that: a few attachments are kept, and the next socket that brings the same reference and port has them. If it brings other
 * data pages than it promised, they are mapped anew.
 *
 * Many frontends do not set it, and use their pages again all the same. So what an indexes page has named is remembered, and mapped together
 * with it the next time, in one call in place of two. It is read then as ever: if it names others, they are mapped in place of these.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "guest-private.h"
#include "indexes.h"

#define PORTS_MAX 131072u               /* Xen's FIFO event channels have no more */

int socket_set_port(struct guest *guest, uint32_t port, struct socket *socket) {
        if (port >= PORTS_MAX)
                return -ENOMEM;
        if (port >= guest->n_ports) {
                uint32_t n = (port + 64) / 64 * 64;
                struct socket **ports = reallocarray(guest->ports, n, sizeof *ports);

                if (!ports)
                        return -ENOMEM;
                for (uint32_t i = guest->n_ports; i < n; i++)
                        ports[i] = NULL;
                guest->ports = ports;
                guest->n_ports = n;
        }
        guest->ports[port] = socket;
        return 0;
}

/* FNV-1a. Who makes two sets of references with the same hash gets the first of them: its own pages still. */
static uint64_t hash_pages(const struct data_pages *pages) {
        uint64_t hash = UINT64_C(0xcbf29ce484222325);

        for (uint32_t i = 0; i < pages->n_refs; i++)
                hash = (hash ^ pages->refs[i]) * UINT64_C(0x100000001b3);
        return hash ^ pages->order;
}

static void unmap_pages(struct guest *guest, struct attachment *attachment) {
        if (attachment->together) {
                xen_unmap(guest->xen, attachment->indexes, 1 + attachment->n_pages);
        } else {
                if (attachment->data)
                        xen_unmap(guest->xen, attachment->data, attachment->n_pages);
                if (attachment->indexes)
                        xen_unmap(guest->xen, attachment->indexes, 1);
        }
        attachment->indexes = NULL;
        attachment->data = NULL;
        attachment->together = false;
}

static void drop(struct guest *guest, struct attachment *attachment) {
        if (attachment->port)
                xen_unbind(guest->xen, attachment->port);
        unmap_pages(guest, attachment);
}

static void remove_kept(struct guest *guest, unsigned i) {
        guest->n_kept--;
        memmove(&guest->kept[i], &guest->kept[i + 1], (guest->n_kept - i) * sizeof guest->kept[0]);
}

/* Takes out what was kept of these. Both have to be the same: one alone was used for something else since. */
static bool take_kept(struct guest *guest, uint32_t ref, uint32_t evtchn, struct attachment *ret_attachment) {
        for (unsigned i = 0; i < guest->n_kept; i++) {
                struct attachment *kept = &guest->kept[i];

                if (kept->ref != ref && kept->evtchn != evtchn)
                        continue;
                *ret_attachment = *kept;
                remove_kept(guest, i);
                if (ret_attachment->ref == ref && ret_attachment->evtchn == evtchn)
                        return true;
                drop(guest, ret_attachment);
                i--;
        }
        return false;
}

void guest_mask_kept(struct guest *guest, uint32_t port) {
        for (unsigned i = 0; i < guest->n_kept; i++)
                if (guest->kept[i].port == port)
                        guest->kept[i].masked = true;
}

static void keep(struct guest *guest, const struct attachment *attachment) {
        if (guest->n_kept == KEPT_MAX) {
                drop(guest, &guest->kept[0]);
                remove_kept(guest, 0);
        }
        guest->kept[guest->n_kept++] = *attachment;
}

void guest_forget_kept(struct guest *guest) {
        for (unsigned i = 0; i < guest->n_kept; i++)
                drop(guest, &guest->kept[i]);
        guest->n_kept = 0;
}

static struct remembered *remembered_of(struct guest *guest, uint32_t ref) {
        return &guest->remembered[ref % REMEMBERED_MAX];
}

static void remember(struct guest *guest, uint32_t ref, const struct data_pages *pages) {
        struct remembered *remembered = remembered_of(guest, ref);

        if (pages->n_refs > REMEMBERED_REFS_MAX)
                return;
        remembered->refs[0] = ref;
        memcpy(remembered->refs + 1, pages->refs, pages->n_refs * sizeof pages->refs[0]);
        remembered->order = pages->order;
}

/* Maps the indexes page and what it has named before. */
static void map_remembered(struct guest *guest, struct attachment *attachment) {
        const struct remembered *remembered = remembered_of(guest, attachment->ref);
        struct data_pages pages = { .order = remembered->order, .n_refs = 1u << remembered->order };
        void *address;

        if (remembered->order == 0 || remembered->refs[0] != attachment->ref || remembered->order > guest->terms->limits.max_page_order)
                return;
        if (xen_map(guest->xen, remembered->refs, 1 + pages.n_refs, &address) < 0)
                return;         /* some are not granted any more: it will name others */
        memcpy(pages.refs, remembered->refs + 1, pages.n_refs * sizeof pages.refs[0]);
        attachment->indexes = address;
        attachment->data = (uint8_t *) address + PVCALLS_PAGE_SIZE;
        attachment->n_pages = pages.n_refs;
        attachment->pages_hash = hash_pages(&pages);
        attachment->together = true;
}

static int map_indexes(struct guest *guest, struct attachment *attachment) {
        void *indexes;
        int r = xen_map(guest->xen, &attachment->ref, 1, &indexes);

        if (r == 0)
                attachment->indexes = indexes;
        return r;
}

/* Lets go of the data pages alone. */
static int unmap_data(struct guest *guest, struct attachment *attachment) {
        if (attachment->together) {     /* which ends as a whole */
                unmap_pages(guest, attachment);
                return map_indexes(guest, attachment);
        }
        if (attachment->data)
                xen_unmap(guest->xen, attachment->data, attachment->n_pages);
        attachment->data = NULL;
        return 0;
}

/* Maps the data pages, unless they are already. */
static int map_data(struct guest *guest, struct attachment *attachment, const struct data_pages *pages) {
        uint64_t hash = hash_pages(pages);
        void *data;
        int r;

        if (attachment->data && attachment->n_pages == pages->n_refs && attachment->pages_hash == hash)
                return 0;
        r = unmap_data(guest, attachment);
        if (r == 0)
                r = xen_map(guest->xen, pages->refs, pages->n_refs, &data);
        if (r < 0)
                return r;
        attachment->data = data;
        attachment->n_pages = pages->n_refs;
        attachment->pages_hash = hash;
        return 0;
}

/* Maps the indexes page, unless it is mapped, and what it says the data pages are. The page is read once. */
static int map_pages(struct guest *guest, struct attachment *attachment, struct data_pages *pages) {
        int r = 0;

        if (!attachment->indexes)
                map_remembered(guest, attachment);
        if (!attachment->indexes)
                r = map_indexes(guest, attachment);
        if (r < 0)
                return r;
        r = indexes_read(attachment->indexes, guest->terms->limits.max_page_order, pages);
        if (r == 0)
                r = map_data(guest, attachment, pages);
        if (r == 0)
                remember(guest, attachment->ref, pages);
        return r == 0 || r == -ENOMEM ? r : -EINVAL;
}

int socket_attach(struct socket *socket, uint32_t ref, uint32_t evtchn) {
        struct guest *guest = socket->guest;
        struct attachment attachment = { .ref = ref, .evtchn = evtchn };
        bool is_bound = take_kept(guest, ref, evtchn, &attachment);
        struct data_pages pages;
        int r;

        if (!is_bound)
                attachment = (struct attachment) { .ref = ref, .evtchn = evtchn };
        r = map_pages(guest, &attachment, &pages);
        if (r == 0 && !is_bound) {
                r = xen_bind(guest->xen, evtchn, &attachment.port);
                is_bound = r == 0;
        }
        if (r == 0)
                r = socket_set_port(guest, attachment.port, socket);
        if (r < 0) {
                if (is_bound)
                        xen_unbind(guest->xen, attachment.port);
                unmap_pages(guest, &attachment);
                return r;
        }
        socket->attachment = attachment;
        if (attachment.masked) {        /* by an event that nobody waited for */
                socket->masked = true;
                guest_enqueue(socket);
        }
        stream_init(&socket->stream, attachment.indexes, attachment.data, pvcalls_half(pages.order), guest->suppress);
        return 0;
}

void socket_detach(struct socket *socket) {
        struct guest *guest = socket->guest;

        if (!socket->attachment.indexes)
                return;
        if (socket->attachment.port)
                guest->ports[socket->attachment.port] = NULL;
        socket->attachment.masked = socket->masked;
        socket->masked = false;
        if (socket->reuse && socket->attachment.port)
                keep(guest, &socket->attachment);
        else
                drop(guest, &socket->attachment);
        socket->attachment = (struct attachment) {};
}

void socket_give_port(struct socket *socket) {
        struct attachment *attachment = &socket->attachment;

        socket->guest->ports[attachment->port] = NULL;
        socket->masked = false;
        xen_unbind(socket->guest->xen, attachment->port);
        attachment->port = 0;
}

int socket_take_port(struct socket *socket) {
        struct guest *guest = socket->guest;
        uint32_t port;
        int r;

        r = xen_bind(guest->xen, socket->attachment.evtchn, &port);
        if (r < 0)
                return r;
        r = socket_set_port(guest, port, socket);
        if (r < 0) {
                xen_unbind(guest->xen, port);
                return r;
        }
        socket->attachment.port = port;
        xen_notify(guest->xen, port);
        return 0;
}

void socket_notify(struct socket *socket) {
        if (!socket->attachment.port)
                return;
        xen_notify(socket->guest->xen, socket->attachment.port);
        socket->guest->terms->counters.notifications++;
}
