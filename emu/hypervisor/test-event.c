/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Event channels: the states of a port, who may bind to it, Xen's errors, and what it costs. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test-machine.h"

static const struct emu_limits few = { .ports = 3 };

static void set_up(struct machine *m, gconstpointer limits) {
        machine_init(m, limits);
}

static void tear_down(struct machine *m, gconstpointer limits) {
        machine_done(m);
}

static struct port *alloc(struct machine *m, uint32_t domid, uint32_t remote_domid) {
        struct port *port;

        g_assert_cmpint(event_alloc_unbound(m->domains[domid], remote_domid, &port), ==, 0);
        return port;
}

static int try_bind(struct machine *m, uint32_t domid, uint32_t remote_domid, uint32_t remote_port) {
        struct port *port = NULL;
        int r = event_bind_interdomain(m->domains[domid], remote_domid, remote_port, &port);

        g_assert_true((r == 0) == (port != NULL));
        port_unref(port);
        return r;
}

static struct port *bind(struct machine *m, uint32_t domid, const struct port *remote) {
        struct port *port;

        g_assert_cmpint(event_bind_interdomain(m->domains[domid], remote->domain->domid, remote->number, &port), ==, 0);
        return port;
}

static struct port *bind_virq(struct machine *m, uint32_t domid, uint32_t virq) {
        struct port *port;

        g_assert_cmpint(event_bind_virq(m->domains[domid], virq, &port), ==, 0);
        return port;
}

static void assert_status(const struct port *port, uint32_t state, uint32_t remote_domid, uint32_t remote_port, uint32_t virq) {
        struct emu_evtchn_status status;

        port_describe(port, &status);
        g_assert_cmpuint(status.state, ==, state);
        g_assert_cmpuint(status.remote_domid, ==, remote_domid);
        g_assert_cmpuint(status.remote_port, ==, remote_port);
        g_assert_cmpuint(status.virq, ==, virq);
}

static void test_states(struct machine *m, gconstpointer limits) {
        struct port *one, *two, *virq;

        virq = bind_virq(m, 1, 7);
        assert_status(virq, EMU_EVTCHN_VIRQ, 0, 0, 7);
        one = alloc(m, 1, 2);
        assert_status(one, EMU_EVTCHN_UNBOUND, 2, 0, 0);
        two = bind(m, 2, one);
        assert_status(one, EMU_EVTCHN_INTERDOMAIN, 2, two->number, 0);
        assert_status(two, EMU_EVTCHN_INTERDOMAIN, 1, one->number, 0);
        port_unref(one);
        assert_status(two, EMU_EVTCHN_UNBOUND, 1, 0, 0);
        port_unref(two);
        port_unref(virq);
        g_assert_cmpuint(m->domains[1]->ports.n_used + m->domains[2]->ports.n_used, ==, 0);
}

static void test_numbers(struct machine *m, gconstpointer limits) {
        struct port *ports[3];

        for (uint32_t i = 0; i < 3; i++) {
                ports[i] = alloc(m, 1, 2);
                g_assert_cmpuint(ports[i]->number, ==, i + 1);
        }
        port_unref(ports[1]);
        ports[1] = bind_virq(m, 1, 0);
        g_assert_cmpuint(ports[1]->number, ==, 2);
        for (uint32_t i = 0; i < 3; i++)
                port_unref(ports[i]);
}

static void test_limit(struct machine *m, gconstpointer limits) {
        struct port *port = NULL, *remote = alloc(m, 0, 1), *ports[3];
        unsigned int n_fds;

        for (uint32_t i = 0; i < 3; i++)
                ports[i] = alloc(m, 1, 2);
        n_fds = count_fds();

        g_assert_cmpint(event_alloc_unbound(m->domains[1], 2, &port), ==, -ENOSPC);
        g_assert_cmpint(event_bind_virq(m->domains[1], 3, &port), ==, -ENOSPC);
        g_assert_cmpint(event_bind_interdomain(m->domains[1], 0, remote->number, &port), ==, -ENOSPC);
        g_assert_null(port);
        assert_status(remote, EMU_EVTCHN_UNBOUND, 1, 0, 0);
        g_assert_cmpuint(count_fds(), ==, n_fds);

        port_unref(ports[2]);
        ports[2] = bind(m, 1, remote);
        for (uint32_t i = 0; i < 3; i++)
                port_unref(ports[i]);
        port_unref(remote);
}

static void test_refusals(struct machine *m, gconstpointer limits) {
        struct port *port = alloc(m, 1, 2), *virq = bind_virq(m, 1, 3), *bound;

        g_assert_cmpint(try_bind(m, 2, 3, port->number), ==, -ESRCH);
        g_assert_cmpint(try_bind(m, 2, UINT32_MAX, port->number), ==, -ESRCH);
        g_assert_cmpint(try_bind(m, 2, 1, 0), ==, -EINVAL);
        g_assert_cmpint(try_bind(m, 2, 1, 99), ==, -EINVAL);
        g_assert_cmpint(try_bind(m, 2, 1, UINT32_MAX), ==, -EINVAL);
        g_assert_cmpint(try_bind(m, 2, 1, virq->number), ==, -EINVAL);
        g_assert_cmpint(try_bind(m, 0, 1, port->number), ==, -EINVAL); /* it waits for another */
        g_assert_cmpint(try_bind(m, 1, EMU_DOMID_SELF, port->number), ==, -EINVAL);
        assert_status(port, EMU_EVTCHN_UNBOUND, 2, 0, 0);

        bound = bind(m, 2, port);
        g_assert_cmpint(try_bind(m, 2, 1, port->number), ==, -EINVAL); /* twice */
        g_assert_cmpint(try_bind(m, 1, 2, bound->number), ==, -EINVAL);
        port_unref(bound);
        port_unref(port);
        g_assert_cmpint(try_bind(m, 2, 1, 1), ==, -EINVAL); /* closed */
        port_unref(virq);
}

static void test_unknown_domain_may_come(struct machine *m, gconstpointer limits) {
        static const uint32_t domids[] = { 3, 4711, EMU_DOMID_SELF + 1, UINT32_MAX };

        for (size_t i = 0; i < G_N_ELEMENTS(domids); i++) {
                struct port *port = alloc(m, 1, domids[i]);

                assert_status(port, EMU_EVTCHN_UNBOUND, domids[i], 0, 0);
                port_unref(port);
        }
}

static void test_bound_anew(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, 2), *two = bind(m, 2, one);

        port_unref(two);
        assert_status(one, EMU_EVTCHN_UNBOUND, 2, 0, 0);
        g_assert_cmpint(try_bind(m, 0, 1, one->number), ==, -EINVAL);
        two = bind(m, 2, one);
        g_assert_cmpuint(two->side, ==, 1);

        port_unref(one);
        g_assert_cmpint(try_bind(m, 0, 2, two->number), ==, -EINVAL);
        one = bind(m, 1, two);
        g_assert_cmpuint(one->side, ==, 0);
        take_event(one);
        take_event(two);
        port_notify(one);
        g_assert_cmpuint(take_event(two), ==, 1);
        port_notify(two);
        g_assert_cmpuint(take_event(one), ==, 1);
        port_unref(two);
        port_unref(one);
}

static void test_loopback(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, EMU_DOMID_SELF), *two;

        assert_status(one, EMU_EVTCHN_UNBOUND, 1, 0, 0);
        g_assert_cmpint(event_bind_interdomain(m->domains[1], EMU_DOMID_SELF, one->number, &two), ==, 0);
        g_assert_cmpuint(take_event(two), ==, 1);
        port_notify(two);
        g_assert_cmpuint(take_event(one), ==, 1);
        port_unref(one);
        assert_status(two, EMU_EVTCHN_UNBOUND, 1, 0, 0);
        port_unref(two);
}

static void test_event_at_bind(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, 2), *two = bind(m, 2, one);

        g_assert_cmpuint(take_event(one), ==, 0);
        g_assert_cmpuint(take_event(two), ==, 1);

        /* What an earlier owner of the side left behind is void: nobody would ever be woken again. */
        set_word(two, CHANNEL_PENDING | CHANNEL_MASKED);
        port_unref(two);
        two = bind(m, 2, one);
        g_assert_cmpuint(take_event(two), ==, 1);
        port_unref(two);
        port_unref(one);
}

static void test_notify(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, 2), *two, *virq = bind_virq(m, 1, 3);

        port_notify(one); /* unbound: lost, as in Xen */
        port_notify(virq);
        g_assert_cmpuint(take_event(virq), ==, 0);
        two = bind(m, 2, one);
        g_assert_cmpuint(take_event(two), ==, 1);

        port_notify(one);
        port_notify(one);
        g_assert_cmpuint(take_event(one), ==, 0);
        g_assert_cmpuint(take_event(two), ==, 1); /* events are not counted */
        port_unref(virq);
        port_unref(two);
        port_unref(one);
}

/* A process that blocks the writer would block every domain. */
static void test_full_eventfd(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, 2), *two = bind(m, 2, one);
        int fds[EMU_PORT_FDS];

        take_event(two);
        port_get_fds(two, fds);
        g_assert_cmpint(eventfd_write(fds[EMU_PORT_FD_RECEIVE], UINT64_MAX - 1), ==, 0);
        port_notify(one);
        set_word(two, 0);
        g_assert_cmpint(fcntl(fds[EMU_PORT_FD_RECEIVE], F_SETFL, 0), ==, 0);
        port_notify(one);
        port_unref(two);
        two = bind(m, 2, one);
        port_unref(two);
        port_unref(one);
}

static void test_virq(struct machine *m, gconstpointer limits) {
        struct port *port = NULL, *first = bind_virq(m, 1, 3), *other = bind_virq(m, 2, 3), *last = bind_virq(m, 1, EVENT_N_VIRQS - 1);

        g_assert_cmpint(event_bind_virq(m->domains[1], 3, &port), ==, -EEXIST);
        g_assert_cmpint(event_bind_virq(m->domains[1], EVENT_N_VIRQS, &port), ==, -EINVAL);
        g_assert_cmpint(event_bind_virq(m->domains[1], UINT32_MAX, &port), ==, -EINVAL);
        g_assert_null(port);

        g_assert_cmpuint(take_event(first), ==, 0);
        event_raise_virq(m->domains[1], 3);
        event_raise_virq(m->domains[1], 4);
        event_raise_virq(m->domains[0], 3);
        g_assert_cmpuint(take_event(first), ==, 1);
        g_assert_cmpuint(take_event(other), ==, 0);
        g_assert_cmpuint(take_event(last), ==, 0);

        port_unref(first);
        event_raise_virq(m->domains[1], 3);
        first = bind_virq(m, 1, 3);
        g_assert_cmpuint(take_event(first), ==, 0);
        port_unref(first);
        port_unref(other);
        port_unref(last);
}

static void test_references(struct machine *m, gconstpointer limits) {
        struct port *one = alloc(m, 1, 2), *two = bind(m, 2, one);

        g_assert_true(port_ref(one) == one);
        g_assert_null(port_unref(one));
        assert_status(one, EMU_EVTCHN_INTERDOMAIN, 2, two->number, 0);
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 1);
        g_assert_null(port_unref(one));
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 0);
        assert_status(two, EMU_EVTCHN_UNBOUND, 1, 0, 0);
        port_unref(two);
        g_assert_null(port_unref(NULL));
}

static void test_descriptors(struct machine *m, gconstpointer limits) {
        unsigned int n_fds = count_fds();
        struct port *one = alloc(m, 1, 2), *two;
        int fds[EMU_PORT_FDS], peer_fds[EMU_PORT_FDS];

        g_assert_cmpuint(count_fds(), ==, n_fds + EMU_PORT_FDS);
        two = bind(m, 2, one);
        g_assert_cmpuint(count_fds(), ==, n_fds + EMU_PORT_FDS);
        port_get_fds(one, fds);
        port_get_fds(two, peer_fds);
        g_assert_cmpint(fds[EMU_PORT_FD_PAGE], ==, peer_fds[EMU_PORT_FD_PAGE]);
        g_assert_cmpint(fds[EMU_PORT_FD_RECEIVE], ==, peer_fds[EMU_PORT_FD_SEND]);
        g_assert_cmpint(fds[EMU_PORT_FD_SEND], ==, peer_fds[EMU_PORT_FD_RECEIVE]);

        port_unref(one);
        g_assert_cmpuint(count_fds(), ==, n_fds + EMU_PORT_FDS);
        port_unref(two);
        g_assert_cmpuint(count_fds(), ==, n_fds);
}

static void test_no_descriptors(struct machine *m, gconstpointer limits) {
        struct port *port = NULL;
        unsigned int n_fds = count_fds();

        machine_exhaust_fds(true);
        g_assert_cmpint(event_alloc_unbound(m->domains[1], 2, &port), ==, -EMFILE);
        g_assert_cmpint(event_bind_virq(m->domains[1], 3, &port), ==, -EMFILE);
        machine_exhaust_fds(false);
        g_assert_null(port);
        g_assert_cmpuint(count_fds(), ==, n_fds);
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 0);
}

static void test_page_is_sealed(struct machine *m, gconstpointer limits) {
        struct port *port = alloc(m, 1, 2);
        int fds[EMU_PORT_FDS];

        port_get_fds(port, fds);
        g_assert_cmpint(ftruncate(fds[EMU_PORT_FD_PAGE], 0), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        g_assert_cmpint(ftruncate(fds[EMU_PORT_FD_PAGE], 2 * EMU_PAGE_SIZE), ==, -1);
        g_assert_cmpint(fcntl(fds[EMU_PORT_FD_PAGE], F_ADD_SEALS, F_SEAL_FUTURE_WRITE), ==, -1);
        g_assert_cmpint(errno, ==, EPERM);
        port_unref(port);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, limits, test) g_test_add("/event/" path, struct machine, limits, set_up, test, tear_down)
        add("unbound-interdomain-unbound-closed", NULL, test_states);
        add("lowest-free-port-first", &few, test_numbers);
        add("one-port-too-many-is-ENOSPC", &few, test_limit);
        add("bind-to-what-is-not-for-us-is-refused", NULL, test_refusals);
        add("a-port-may-wait-for-a-domain-to-come", NULL, test_unknown_domain_may_come);
        add("either-end-can-be-bound-anew-by-the-same-domain", NULL, test_bound_anew);
        add("a-domain-may-talk-to-itself", NULL, test_loopback);
        add("bind-sets-an-event-at-the-binder", NULL, test_event_at_bind);
        add("notify-reaches-the-other-end-only", NULL, test_notify);
        add("a-full-eventfd-does-not-block-us", NULL, test_full_eventfd);
        add("virq-twice-is-EEXIST", NULL, test_virq);
        add("the-last-reference-closes-a-port", NULL, test_references);
        add("descriptors-belong-to-both-ends", NULL, test_descriptors);
        add("without-descriptors-it-is-EMFILE", NULL, test_no_descriptors);
        add("nobody-can-resize-or-seal-the-page", NULL, test_page_is_sealed);
        return g_test_run();
}
