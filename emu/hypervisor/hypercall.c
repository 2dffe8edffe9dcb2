/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Hypercalls; see hypercall.h. */

#include "hypercall.h"

#include <errno.h>
#include <string.h>

/* Each takes a copy of its argument: the packet is private memory already, but not aligned. */

static int port_answer(struct handle *handle, struct port *port, struct reply *reply) {
        struct emu_port *body = (struct emu_port *) reply->body;

        *body = (struct emu_port) { .port = port->number, .side = port->side };
        reply->n_body = sizeof *body;
        port_get_fds(port, reply->fds);
        reply->n_fds = EMU_PORT_FDS;
        return 0;
}

static int port_bound(struct handle *handle, struct port *port, struct reply *reply) {
        handle_add_port(handle, port);
        return port_answer(handle, port, reply);
}

static int check_restriction(const struct handle *handle, uint32_t domid) {
        return handle->restricted_domid == HANDLE_UNRESTRICTED || handle->restricted_domid == domid ? 0 : -EACCES;
}

static int evtchn_alloc_unbound(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_evtchn_remote untrusted;
        struct port *port;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (untrusted.port != 0)
                return -EINVAL;

        r = check_restriction(handle, untrusted.domid);
        if (r == 0)
                r = event_alloc_unbound(handle->domain, untrusted.domid, &port);
        return r < 0 ? r : port_bound(handle, port, reply);
}

static int evtchn_bind_interdomain(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_evtchn_remote untrusted;
        struct port *port;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        r = check_restriction(handle, untrusted.domid);
        if (r == 0)
                r = event_bind_interdomain(handle->domain, untrusted.domid, untrusted.port, &port);
        return r < 0 ? r : port_bound(handle, port, reply);
}

static int evtchn_bind_virq(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_evtchn_virq untrusted;
        struct port *port;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (handle->restricted_domid != HANDLE_UNRESTRICTED)
                return -EACCES;

        r = event_bind_virq(handle->domain, untrusted.virq, &port);
        return r < 0 ? r : port_bound(handle, port, reply);
}

static uint32_t id_of(const void *argument) {
        struct emu_id id;

        memcpy(&id, argument, sizeof id);
        return id.id;
}

static int evtchn_unbind(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct port *port = handle_find_port(handle, id_of(argument));

        if (!port)
                return -ENOTCONN;

        handle_close_port(handle, port);
        return 0;
}

static int evtchn_restrict(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        uint32_t untrusted_domid = id_of(argument);

        if (handle->restricted_domid != HANDLE_UNRESTRICTED)
                return -EACCES;
        if (untrusted_domid == 0 || untrusted_domid >= EMU_DOMID_FIRST_RESERVED)
                return -EINVAL;

        handle->restricted_domid = untrusted_domid;
        return 0;
}

static int evtchn_list(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_list *list = (struct emu_list *) reply->body;
        uint32_t *ports = (uint32_t *) (list + 1);
        uint32_t i = id_of(argument);

        *list = (struct emu_list) { .entry_size = sizeof *ports };
        for (struct port *port; list->n_entries < EMU_LIST_MAX && (port = slots_next(&handle->domain->ports, &i)); i++)
                if (port->handle == handle)
                        ports[list->n_entries++] = port->number;

        reply->n_body = sizeof *list + list->n_entries * sizeof *ports;
        return 0;
}

static int evtchn_get(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct port *port = handle_find_port(handle, id_of(argument));

        return port ? port_answer(handle, port, reply) : -ENOTCONN;
}

static int grant_share(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_shared *body = (struct emu_shared *) reply->body;
        struct emu_share untrusted;
        struct share *share;
        uint32_t id;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (untrusted.flags & ~EMU_GRANT_READONLY)
                return -EINVAL;

        r = share_new(handle->domain, untrusted.domid, untrusted.count, untrusted.flags & EMU_GRANT_READONLY, &share);
        if (r < 0)
                return r;

        r = slots_add(&handle->shares, 1, UINT32_MAX / 2, share, &id);
        if (r < 0) {
                share_end(share);
                return r;
        }

        *body = (struct emu_shared) { .share = id, .n_refs = share->n_pages };
        for (uint32_t i = 0; i < share->n_pages; i++)
                body->refs[i] = share->pages[i].ref;
        reply->n_body = sizeof *body + share->n_pages * sizeof body->refs[0];
        reply->fds[0] = share->memfd;
        reply->n_fds = 1;
        return 0;
}

static int grant_share_mapped(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct share *share = slots_get(&handle->shares, id_of(argument));

        return share ? share_seal(share) : -ENOENT;
}

static int grant_unshare(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct share *share = slots_take(&handle->shares, id_of(argument));

        if (!share)
                return -ENOENT;

        share_end(share);
        return 0;
}

/* Puts the descriptors of mapping's pages beside the reply, each once, and says in body which page is where. */
static void mapping_answer(const struct mapping *mapping, struct emu_mapped *body, struct reply *reply) {
        for (uint32_t i = 0; i < mapping->n_pages; i++) {
                int fd = grant_fd(mapping->pages[i], mapping->readonly);
                size_t k = 0;

                /* Neighbours mostly lie in the same memfd, so looking backwards finds it at once. */
                for (k = reply->n_fds; k > 0 && reply->fds[k - 1] != fd; k--)
                        ;
                if (k == 0) {
                        reply->fds[reply->n_fds++] = fd;
                        k = reply->n_fds;
                }
                body->pages[i].fd = k - 1;
                body->pages[i].page = grant_page(mapping->pages[i]);
        }
}

static int grant_map(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_mapped *body = (struct emu_mapped *) reply->body;
        struct emu_map_page untrusted_pages[EMU_MAP_PAGES_MAX];
        int16_t statuses[EMU_MAP_PAGES_MAX];
        struct mapping *mapping;
        struct emu_map header;
        int r;

        memcpy(&header, argument, sizeof header);
        if (header.count == 0 || header.count > EMU_MAP_PAGES_MAX || (header.flags & ~EMU_GRANT_READONLY))
                return -EINVAL;
        if (n_argument != sizeof header + header.count * sizeof untrusted_pages[0])
                return -EMSGSIZE;
        memcpy(untrusted_pages, (const char *) argument + sizeof header, header.count * sizeof untrusted_pages[0]);

        r = mapping_new(handle->domain, untrusted_pages, header.count, header.flags & EMU_GRANT_READONLY, statuses, &mapping);
        if (r < 0 && r != -EINVAL)
                return r;

        *body = (struct emu_mapped) { .n_pages = header.count };
        for (uint32_t i = 0; i < header.count; i++)
                body->pages[i] = (struct emu_mapped_page) { .status = statuses[i] };
        reply->n_body = sizeof *body + header.count * sizeof body->pages[0];
        if (r < 0)
                return r;

        r = slots_add(&handle->mappings, 1, UINT32_MAX / 2, mapping, &body->mapping);
        if (r < 0) {
                mapping_end(mapping);
                return r;
        }
        mapping_answer(mapping, body, reply);
        return 0;
}

static int grant_unmap(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct mapping *mapping = slots_take(&handle->mappings, id_of(argument));

        if (!mapping)
                return -ENOENT;

        mapping_end(mapping);
        return 0;
}

static int grant_notify(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_notify untrusted;
        struct mapping *mapping;
        struct share *share;
        struct port *port;

        memcpy(&untrusted, argument, sizeof untrusted);
        if ((untrusted.share == 0) == (untrusted.mapping == 0))
                return -EINVAL;

        /* Any port of the domain will do, as in evtchn_get() of Linux's drivers/xen/events: the handles are different files. */
        port = slots_get(&handle->domain->ports, untrusted.port);

        if (untrusted.share != 0) {
                share = slots_get(&handle->shares, untrusted.share);
                return share ? share_set_notify(share, untrusted.actions, untrusted.offset, port) : -ENOENT;
        }
        mapping = slots_get(&handle->mappings, untrusted.mapping);
        return mapping ? mapping_set_notify(mapping, untrusted.actions, untrusted.offset, port) : -ENOENT;
}

static int domain_info(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct domain *domain = domain_table_next(handle->domain->table, id_of(argument));

        if (handle->domain->domid != 0)
                return -EPERM;
        if (!domain)
                return -ESRCH;

        domain_describe(domain, (struct emu_domain_info *) reply->body);
        reply->n_body = sizeof(struct emu_domain_info);
        return 0;
}

static int evtchn_status(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply) {
        struct emu_evtchn_status *body = (struct emu_evtchn_status *) reply->body;
        struct emu_evtchn_remote untrusted;
        struct domain *domain;
        struct port *port;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (handle->domain->domid != 0)
                return -EPERM;
        r = domain_table_find(handle->domain->table, handle->domain, untrusted.domid, &domain);
        if (r < 0)
                return r;
        if (untrusted.port > domain->limits.ports)
                return -EINVAL;

        *body = (struct emu_evtchn_status) { .state = EMU_EVTCHN_CLOSED };
        port = slots_get(&domain->ports, untrusted.port);
        if (port)
                port_describe(port, body);
        reply->n_body = sizeof *body;
        return 0;
}

static const struct {
        uint32_t op;
        uint32_t n_argument;            /* exactly; of EMU_GRANT_MAP at least */
        int (*run)(struct handle *handle, const void *argument, size_t n_argument, struct reply *reply);
} operations[] = {
        { EMU_EVTCHN_ALLOC_UNBOUND, sizeof(struct emu_evtchn_remote), evtchn_alloc_unbound },
        { EMU_EVTCHN_BIND_INTERDOMAIN, sizeof(struct emu_evtchn_remote), evtchn_bind_interdomain },
        { EMU_EVTCHN_BIND_VIRQ, sizeof(struct emu_evtchn_virq), evtchn_bind_virq },
        { EMU_EVTCHN_UNBIND, sizeof(struct emu_id), evtchn_unbind },
        { EMU_EVTCHN_RESTRICT, sizeof(struct emu_id), evtchn_restrict },
        { EMU_EVTCHN_LIST, sizeof(struct emu_id), evtchn_list },
        { EMU_EVTCHN_GET, sizeof(struct emu_id), evtchn_get },
        { EMU_GRANT_SHARE, sizeof(struct emu_share), grant_share },
        { EMU_GRANT_SHARE_MAPPED, sizeof(struct emu_id), grant_share_mapped },
        { EMU_GRANT_UNSHARE, sizeof(struct emu_id), grant_unshare },
        { EMU_GRANT_MAP, sizeof(struct emu_map), grant_map },
        { EMU_GRANT_UNMAP, sizeof(struct emu_id), grant_unmap },
        { EMU_GRANT_NOTIFY, sizeof(struct emu_notify), grant_notify },
        { EMU_DOMAIN_INFO, sizeof(struct emu_id), domain_info },
        { EMU_EVTCHN_STATUS, sizeof(struct emu_evtchn_remote), evtchn_status },
};

int hypercall(struct handle *handle, const void *untrusted_packet, size_t n_packet, struct reply *ret_reply) {
        struct emu_request request;
        size_t n_argument;

        reply_init(ret_reply);
        if (n_packet < sizeof request)
                return -EMSGSIZE;

        memcpy(&request, untrusted_packet, sizeof request);
        if (request.flags != 0 && !emu_request_is_posted(&request))
                return -EINVAL;

        n_argument = n_packet - sizeof request;
        for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
                if (operations[i].op != request.op)
                        continue;
                if (n_argument != operations[i].n_argument && (request.op != EMU_GRANT_MAP || n_argument < operations[i].n_argument))
                        return -EMSGSIZE;
                return operations[i].run(handle, (const char *) untrusted_packet + sizeof request, n_argument, ret_reply);
        }
        return -EOPNOTSUPP;
}
