/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The control socket; see control.h. */

#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hypervisor.h"
#include "life.h"
#include "log.h"

/* The socket's mode keeps others out; this says so again where a mode might not count. */
static bool is_trusted(int fd) {
        struct ucred credentials;
        socklen_t size = sizeof credentials;

        return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 &&
               (credentials.uid == 0 || credentials.uid == geteuid());
}

static int hello(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        struct emu_hello untrusted;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (untrusted.version != EMU_PROTOCOL_VERSION)
                return -EPROTO;
        if (!is_trusted(connection->fd))
                return -EPERM;

        connection->greeted = true;
        *(struct emu_hello *) reply->body = (struct emu_hello) { .version = EMU_PROTOCOL_VERSION, .domid = EMU_DOMID_SELF };
        reply->n_body = sizeof untrusted;
        return 0;
}

static uint32_t or_default(uint32_t wanted, uint32_t standard) {
        return wanted > 0 ? wanted : standard;
}

static int domain_create(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        const struct emu_limits *standard = &hypervisor->options->limits;
        struct emu_domain_create untrusted;
        struct domain *domain;
        int r;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (hypervisor->stopping)
                return -ESHUTDOWN;

        untrusted.limits = (struct emu_limits) {
                .handles = or_default(untrusted.limits.handles, standard->handles),
                .ports = or_default(untrusted.limits.ports, standard->ports),
                .shared_pages = or_default(untrusted.limits.shared_pages, standard->shared_pages),
                .grants = or_default(untrusted.limits.grants, standard->grants),
                .maptrack = or_default(untrusted.limits.maptrack, standard->maptrack),
        };
        r = life_begin(hypervisor, &untrusted, &domain);
        if (r < 0)
                return r;

        connection->waiting_op = EMU_DOMAIN_CREATE;
        connection->waiting_for = domain;
        return LISTENER_LATER;
}

/* A domain that is alive, for an operation on it. */
static int find_alive(struct hypervisor *hypervisor, const void *argument, struct domain **ret_domain) {
        struct domain *domain;
        struct emu_id untrusted;

        memcpy(&untrusted, argument, sizeof untrusted);
        if (untrusted.id >= EMU_DOMID_FIRST_RESERVED)
                return -ESRCH;
        domain = slots_get(&hypervisor->domains.domains, untrusted.id);
        if (!domain || domain->life->state > LIFE_DYING)
                return -ESRCH;

        *ret_domain = domain;
        return 0;
}

static int domain_destroy(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        struct domain *domain;
        int r;

        r = find_alive(hypervisor, argument, &domain);
        if (r < 0)
                return r;
        if (domain->domid == 0)
                return -EPERM;

        connection->waiting_op = EMU_DOMAIN_DESTROY;
        connection->waiting_for = domain;
        life_kill(domain);
        return LISTENER_LATER;
}

static int domain_list(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        struct emu_list *list = (struct emu_list *) reply->body;
        struct emu_domain_info *infos = (struct emu_domain_info *) (list + 1);
        struct domain *domain;
        struct emu_id untrusted;

        memcpy(&untrusted, argument, sizeof untrusted);
        *list = (struct emu_list) { .entry_size = sizeof *infos };
        for (uint32_t i = untrusted.id; list->n_entries < EMU_LIST_MAX && (domain = domain_table_next(&hypervisor->domains, i));
             i = domain->domid + 1)
                domain_describe(domain, &infos[list->n_entries++]);

        reply->n_body = sizeof *list + list->n_entries * sizeof *infos;
        return 0;
}

static int domain_enter(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        struct domain *domain;
        int r;

        r = find_alive(hypervisor, argument, &domain);
        if (r < 0)
                return r;
        if (domain->life->state != LIFE_ALIVE)
                return domain->life->state == LIFE_BUILDING ? -EAGAIN : -ESRCH;

        *(struct emu_entered *) reply->body = (struct emu_entered) { .domid = domain->domid, .flags = domain->flags };
        reply->n_body = sizeof(struct emu_entered);
        if (domain->flags & EMU_DOMAIN_ISOLATED) {
                reply->fds[0] = domain->life->kernel_pidfd;
                reply->n_fds = 1;
        }

        /* Answered at once, and then kept: its end, whichever side it comes from, is what is waited for. */
        connection_answer(connection, 0, reply);
        connection->waiting_op = EMU_DOMAIN_ENTER;
        connection->waiting_for = domain;
        return LISTENER_LATER;
}

static int shutdown_all(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply) {
        connection->waiting_op = EMU_SHUTDOWN;
        hypervisor_stop(hypervisor);
        return LISTENER_LATER;
}

static const struct {
        uint32_t op;
        uint32_t n_argument;
        int (*run)(struct hypervisor *hypervisor, struct connection *connection, const void *argument, struct reply *reply);
} operations[] = {
        { EMU_HELLO, sizeof(struct emu_hello), hello },
        { EMU_DOMAIN_CREATE, sizeof(struct emu_domain_create), domain_create },
        { EMU_DOMAIN_DESTROY, sizeof(struct emu_id), domain_destroy },
        { EMU_DOMAIN_LIST, sizeof(struct emu_id), domain_list },
        { EMU_DOMAIN_ENTER, sizeof(struct emu_id), domain_enter },
        { EMU_SHUTDOWN, 0, shutdown_all },
};

int control_request(struct connection *connection, const void *untrusted_packet, size_t n_packet, struct reply *ret_reply,
                    void *userdata) {
        struct hypervisor *hypervisor = userdata;
        struct emu_request request;

        if (n_packet < sizeof request)
                return -EMSGSIZE;
        memcpy(&request, untrusted_packet, sizeof request);
        if (request.flags != 0)
                return -EINVAL;
        if (connection->greeted == (request.op == EMU_HELLO))
                return -EPROTO;

        for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++) {
                if (operations[i].op != request.op)
                        continue;
                if (n_packet - sizeof request != operations[i].n_argument)
                        return -EMSGSIZE;
                return operations[i].run(hypervisor, connection, (const char *) untrusted_packet + sizeof request, ret_reply);
        }
        return -EOPNOTSUPP;
}

void control_closed(struct connection *connection, void *userdata) {
        struct domain *domain = connection->waiting_for;
        uint32_t op = connection->waiting_op;

        connection->waiting_op = 0;
        connection->waiting_for = NULL;
        if (!domain)
                return;

        if (op == EMU_DOMAIN_ENTER)
                life_check(domain);
        else if (op == EMU_DOMAIN_CREATE) {
                log_event("domain %u: its creator left before it was built; destroying it", domain->domid);
                life_kill(domain);
        }
}
