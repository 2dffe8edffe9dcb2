/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks the hypervisor with packets, from several domains at once, with limits so low that all of them are met.
 *
 * The input is a list of records. Each begins with a byte: below 0xc0, its remainder names a handle that says a packet, whose length
 * (16 bits, little-endian) and bytes follow; below 0xf0, the handle is closed, or opened; above, a guest dies, and comes anew.
 *
 * Invariants after each: what the hypervisor counts is what there is to count, no limit is exceeded, every reference leads somewhere
 * and back, an answer's descriptors are open; and in the end nothing is left, no descriptor either.
 */

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hypercall.h"

#define PARTIES 3u
#define HANDLES 3u                      /* of each party: one more than it may have */
#define END_DOMID 5u

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct emu_limits limits = {
        .handles = HANDLES - 1,
        .ports = 5,
        .shared_pages = 6,
        .grants = EMU_REF_FIRST_FREE + 7,
        .maptrack = 5,
};

struct input {
        const uint8_t *data;
        size_t n;
};

struct party {
        struct domain *domain;          /* NULL while every number is a zombie's */
        struct handle *handles[HANDLES];
        struct share *store_ring;       /* a guest's, as its toolstack would have made them */
        struct port *store_port;
};

struct world {
        struct domain_table table;
        struct party parties[PARTIES];
        struct reply reply;
};

static uint8_t next(struct input *input) {
        if (input->n == 0)
                return 0;
        input->n--;
        return *input->data++;
}

static unsigned int count_fds(void) {
        DIR *dir = opendir("/proc/self/fd");
        unsigned int n = 0;

        demand(dir);
        while (readdir(dir))
                n++;
        closedir(dir);
        return n;
}

/*
 * Counting again
 */

/* How many notifications of a handle are sent through a port. */
static uint32_t notifications_through(const struct handle *handle, const struct port *port) {
        const struct mapping *mapping;
        const struct share *share;
        uint32_t n = 0;

        for (uint32_t i = 0; (share = slots_next(&handle->shares, &i)); i++)
                n += share->notify.port == port;
        for (uint32_t i = 0; (mapping = slots_next(&handle->mappings, &i)); i++)
                n += mapping->notify.port == port;
        return n;
}

static void check_port(const struct world *world, const struct domain *domain, const struct port *port, uint32_t number) {
        const struct handle *handle;
        const struct port *other;
        uint32_t n_refs = port->handle ? 1 : 0;

        for (unsigned int i = 0; i < PARTIES; i++)
                n_refs += world->parties[i].store_port == port;
        LIST_FOREACH(handle, &domain->handles, of_domain)
                n_refs += notifications_through(handle, port);
        demand(port->n_refs == n_refs && n_refs > 0);
        demand(port->domain == domain && port->number == number && number > 0 && number <= limits.ports);

        if (port->state == EMU_EVTCHN_INTERDOMAIN) {
                demand(port->remote != port && port->remote->remote == port && port->remote->state == EMU_EVTCHN_INTERDOMAIN);
                demand(slots_get(&port->remote->domain->ports, port->remote->number) == port->remote);
                demand(port->remote->channel == port->channel && port->remote->side == !port->side);
        } else
                demand(!port->remote);

        if (port->state == EMU_EVTCHN_VIRQ)
                for (uint32_t i = number + 1; (other = slots_next(&domain->ports, &i)); i++)
                        demand(other->state != EMU_EVTCHN_VIRQ || other->virq != port->virq);
}

/* Returns how many descriptors the ports need, in halves: two ends of a channel share theirs. */
static unsigned int check_ports(const struct world *world, const struct domain *domain) {
        unsigned int n = 0, n_halves = 0;
        const struct handle *handle;
        const struct port *port;

        for (uint32_t i = 0; (port = slots_next(&domain->ports, &i)); i++) {
                check_port(world, domain, port, i);
                n += port->handle != NULL;
                n_halves += port->state == EMU_EVTCHN_INTERDOMAIN ? EMU_PORT_FDS : 2 * EMU_PORT_FDS;
        }
        LIST_FOREACH(handle, &domain->handles, of_domain)
                LIST_FOREACH(port, &handle->ports, of_handle) {
                        demand(port->handle == handle);
                        n--;
                }
        demand(n == 0);
        demand(domain->ports.n_used <= limits.ports);
        return n_halves;
}

/* How many mappings of all domains name a grant. */
static uint32_t mappings_of(const struct world *world, const struct grant *grant) {
        const struct mapping *mapping;
        const struct handle *handle;
        const struct domain *domain;
        uint32_t n = 0;

        for (uint32_t i = 0; (domain = slots_next(&world->table.domains, &i)); i++)
                LIST_FOREACH(handle, &domain->handles, of_domain)
                        for (uint32_t k = 0; (mapping = slots_next(&handle->mappings, &k)); k++)
                                for (uint32_t page = 0; page < mapping->n_pages; page++)
                                        n += mapping->pages[page] == grant;
        return n;
}

/* Returns how many descriptors the grants need, in halves. */
static unsigned int check_grants(const struct world *world, const struct domain *domain) {
        uint32_t n_shared = 0, n_mapped = 0;
        unsigned int n_fds = 0;
        const struct grant *grant, *before;

        for (uint32_t i = 0; (grant = slots_next(&domain->grants, &i)); i++) {
                const struct share *share = grant->share;

                demand(grant->ref == i && share->granter == domain && grant_page(grant) < share->n_pages);
                demand(grant->n_mapped == mappings_of(world, grant));
                demand(!share->ended || grant->n_mapped > 0);
                n_shared += share->counted;
                n_mapped += grant->n_mapped;

                uint32_t k = 0;
                while ((before = slots_next(&domain->grants, &k)) != grant && before->share != share)
                        k++;
                if (before == grant)
                        n_fds += 1 + (share->readonly_fd >= 0);
        }
        demand(domain->grants.n_used <= limits.grants - EMU_REF_FIRST_FREE + 1);
        demand(domain->n_shared_pages == n_shared && n_shared <= limits.shared_pages);
        demand(domain->n_mapped_by_others == n_mapped);
        return 2 * n_fds;
}

static void check_handles(const struct domain *domain) {
        uint32_t n_handles = 0, n_maptrack = 0;
        const struct mapping *mapping;
        const struct handle *handle;
        const struct share *share;

        LIST_FOREACH(handle, &domain->handles, of_domain) {
                n_handles++;
                demand(handle->domain == domain);
                for (uint32_t i = 0; (mapping = slots_next(&handle->mappings, &i)); i++) {
                        demand(mapping->domain == domain && mapping->n_pages > 0);
                        n_maptrack += mapping->n_pages;
                }
                for (uint32_t i = 0; (share = slots_next(&handle->shares, &i)); i++)
                        demand(share->granter == domain && !share->ended && share->n_live == share->n_pages);
        }
        demand(domain->n_handles == n_handles && n_handles <= limits.handles);
        demand(domain->n_maptrack == n_maptrack && n_maptrack <= limits.maptrack);
}

/* Returns how many descriptors there should be. */
static unsigned int check(const struct world *world) {
        const struct domain *domain;
        unsigned int n_halves = 0;

        for (uint32_t i = 0; (domain = slots_next(&world->table.domains, &i)); i++) {
                demand(domain->domid == i && i < END_DOMID);
                check_handles(domain);
                n_halves += check_ports(world, domain) + check_grants(world, domain);
        }
        return n_halves / 2;
}

/*
 * Doing what the input says
 */

static void party_come(struct world *world, struct party *party) {
        const uint8_t uuid[16] = {};

        if (party->domain)
                return;
        if (domain_new(&world->table, uuid, 0, &limits, &party->domain) < 0) {
                demand(world->table.domains.n_used == END_DOMID);
                return;
        }
        if (party != &world->parties[0]) {
                demand(share_new_reserved(party->domain, EMU_REF_XENSTORE, 0, &party->store_ring) == 0);
                demand(event_alloc_unbound(party->domain, 0, &party->store_port) == 0);
        }
}

static void toggle_handle(struct world *world, struct party *party, unsigned int index) {
        struct handle **handle = &party->handles[index];
        int r;

        party_come(world, party);
        if (*handle)
                *handle = handle_free(*handle);
        else if (party->domain) {
                bool full = party->domain->n_handles == limits.handles;

                r = handle_new(party->domain, handle);
                demand(r == (full ? -EMFILE : 0));
        }
}

static void party_go(struct world *world, struct party *party) {
        if (!party->domain)
                return;

        party->domain->flags |= EMU_DOMAIN_DYING;
        for (unsigned int i = 0; i < HANDLES; i++)
                party->handles[i] = handle_free(party->handles[i]);
        if (party != &world->parties[0]) {
                port_unref(party->store_port);
                share_end(party->store_ring);
                event_raise_virq(world->parties[0].domain, EVENT_VIRQ_DOM_EXC);
        }
        *party = (struct party) {};
}

/* As hypervisor_collect() does. */
static void collect(struct world *world) {
        struct domain *domain;

        for (uint32_t i = 0; (domain = domain_table_next(&world->table, i));) {
                i = domain->domid + 1;
                if ((domain->flags & EMU_DOMAIN_DYING) && domain->n_mapped_by_others == 0)
                        domain_free(domain);
        }
}

static void say(struct world *world, struct handle *handle, struct input *input) {
        size_t n = next(input);
        void *packet;
        int r;

        n |= (size_t) next(input) << 8;
        if (n > input->n)
                n = input->n;
        if (n > EMU_REQUEST_MAX)
                n = EMU_REQUEST_MAX;
        packet = malloc(n > 0 ? n : 1); /* of its own, so that a byte too far is seen */
        demand(packet);
        memcpy(packet, input->data, n);
        input->data += n;
        input->n -= n;

        if (handle) {
                memset(&world->reply, 0xa5, sizeof world->reply);
                r = hypercall(handle, packet, n, &world->reply);
                demand(r <= 0 && world->reply.n_body <= sizeof world->reply.body && world->reply.n_fds <= EMU_FDS_MAX);
                demand(r == 0 || (world->reply.n_fds == 0 && (world->reply.n_body == 0 || r == -EINVAL)));
                for (size_t i = 0; i < world->reply.n_fds; i++)
                        demand(fcntl(world->reply.fds[i], F_GETFD) == FD_CLOEXEC);
        }
        free(packet);
}

static void operate(struct world *world, struct input *input) {
        uint8_t what = next(input);
        struct party *party = &world->parties[what % PARTIES];
        unsigned int index = what / PARTIES % HANDLES;

        if (what < 0xc0)
                say(world, party->handles[index], input);
        else if (what < 0xf0)
                toggle_handle(world, party, index);
        else if (party != &world->parties[0])
                party_go(world, party);
        collect(world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static struct world world;
        struct input input = { data, size };
        unsigned int n_fds = count_fds();

        memset(&world, 0, sizeof world);
        domain_table_init(&world.table, END_DOMID);
        for (unsigned int i = 0; i < PARTIES; i++)
                toggle_handle(&world, &world.parties[i], 0);

        while (input.n > 0) {
                operate(&world, &input);
                check(&world);
        }
        demand(count_fds() == n_fds + check(&world));

        for (unsigned int i = PARTIES; i-- > 0;)
                party_go(&world, &world.parties[i]);
        collect(&world);
        domain_table_done(&world.table);
        demand(count_fds() == n_fds);
        return 0;
}
