/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Handles: what ends with one, in which order, and what outlives it. */

#include <errno.h>
#include <glib.h>
#include <unistd.h>

#include "handle.h"
#include "test-machine.h"

static const struct emu_limits few = { .handles = 2 };

static void set_up(struct machine *m, gconstpointer limits) {
        machine_init(m, limits);
}

static void tear_down(struct machine *m, gconstpointer limits) {
        machine_done(m);
}

static struct handle *open_handle(struct machine *m, uint32_t domid) {
        struct handle *handle;

        g_assert_cmpint(handle_new(m->domains[domid], &handle), ==, 0);
        return handle;
}

static struct port *alloc_port(struct handle *handle, uint32_t remote_domid) {
        struct port *port;

        g_assert_cmpint(event_alloc_unbound(handle->domain, remote_domid, &port), ==, 0);
        handle_add_port(handle, port);
        return port;
}

static struct port *bind_port(struct handle *handle, const struct port *remote) {
        struct port *port;

        g_assert_cmpint(event_bind_interdomain(handle->domain, remote->domain->domid, remote->number, &port), ==, 0);
        handle_add_port(handle, port);
        take_event(port);
        return port;
}

static struct share *share_pages(struct handle *handle, uint32_t grantee, uint32_t n_pages) {
        struct share *share;
        uint32_t id;

        g_assert_cmpint(share_new(handle->domain, grantee, n_pages, false, &share), ==, 0);
        g_assert_cmpint(slots_add(&handle->shares, 1, 100, share, &id), ==, 0);
        return share;
}

static struct mapping *map_page(struct handle *handle, const struct share *share, uint32_t page) {
        const struct emu_map_page named = { .domid = share->granter->domid, .ref = share->pages[page].ref };
        struct mapping *mapping;
        int16_t status;
        uint32_t id;

        g_assert_cmpint(mapping_new(handle->domain, &named, 1, false, &status, &mapping), ==, 0);
        g_assert_cmpint(slots_add(&handle->mappings, 1, 100, mapping, &id), ==, 0);
        return mapping;
}

static void test_limit(struct machine *m, gconstpointer limits) {
        struct handle *one = open_handle(m, 1), *two = open_handle(m, 1), *none = NULL;

        g_assert_cmpint(handle_new(m->domains[1], &none), ==, -EMFILE);
        g_assert_null(none);
        g_assert_cmpuint(m->domains[1]->n_handles, ==, 2);
        none = open_handle(m, 2); /* another domain's are its own */
        handle_free(one);
        one = open_handle(m, 1);
        g_assert_cmpint(handle_new(m->domains[1], &(struct handle *) { NULL }), ==, -EMFILE);
        g_assert_null(handle_free(one));
        g_assert_null(handle_free(two));
        g_assert_null(handle_free(none));
        g_assert_null(handle_free(NULL));
}

static void test_ports_of_a_handle(struct machine *m, gconstpointer limits) {
        struct handle *one = open_handle(m, 1), *two = open_handle(m, 1), *foreign = open_handle(m, 2);
        struct port *port = alloc_port(one, 2);

        alloc_port(foreign, 1);
        g_assert_true(handle_find_port(one, port->number) == port);
        g_assert_null(handle_find_port(two, port->number));
        g_assert_true(handle_find_port(foreign, port->number) != port);
        g_assert_null(handle_find_port(one, 0));
        g_assert_null(handle_find_port(one, UINT32_MAX));
        handle_close_port(one, port);
        g_assert_null(handle_find_port(one, 1));
        handle_free(one);
        handle_free(two);
        handle_free(foreign);
}

/* Everything at once, and the two sides ending in either order. */
static void test_everything_ends(struct machine *m, gconstpointer limits) {
        for (unsigned int granter_first = 0; granter_first < 2; granter_first++) {
                unsigned int n_fds = count_fds();
                struct handle *granter = open_handle(m, 1), *grantee = open_handle(m, 2);

                for (unsigned int i = 0; i < 20; i++) {
                        struct share *share = share_pages(granter, 2, 3);
                        struct port *port = alloc_port(granter, 2), *peer = bind_port(grantee, port);

                        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_CLEAR_BYTE | EMU_NOTIFY_SEND_EVENT, i, port), ==, 0);
                        g_assert_cmpint(mapping_set_notify(map_page(grantee, share, 0), EMU_NOTIFY_SEND_EVENT, 0, peer), ==, 0);
                        map_page(grantee, share, 2);
                        map_page(grantee, share, 2);
                }
                g_assert_cmpuint(count_fds(), ==, n_fds + 20 * (1 + EMU_PORT_FDS));
                handle_free(granter_first ? granter : grantee);
                g_assert_cmpuint(m->domains[1]->grants.n_used, ==, granter_first ? 40 : 60);
                handle_free(granter_first ? grantee : granter);
                g_assert_cmpuint(m->domains[1]->grants.n_used, ==, 0);
                g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 0);
                g_assert_cmpuint(m->domains[2]->ports.n_used, ==, 0);
                g_assert_cmpuint(count_fds(), ==, n_fds);
        }
}

/* What is to be said through a port of the dying handle is said before the port closes. */
static void test_order(struct machine *m, gconstpointer limits) {
        struct handle *granter = open_handle(m, 1), *dying = open_handle(m, 2);
        struct share *offered = share_pages(granter, 2, 1), *own = share_pages(dying, 1, 1);
        struct port *from_mapping = bind_port(dying, alloc_port(granter, 2)), *from_share = bind_port(dying, alloc_port(granter, 2));
        struct port *first = from_mapping->remote, *second = from_share->remote;
        char byte = 'x';
        int fd = dup(own->memfd);

        g_assert_cmpint(pwrite(offered->memfd, &byte, 1, 3), ==, 1);
        g_assert_cmpint(pwrite(fd, &byte, 1, 4), ==, 1);
        g_assert_cmpint(mapping_set_notify(map_page(dying, offered, 0), EMU_NOTIFY_CLEAR_BYTE | EMU_NOTIFY_SEND_EVENT, 3, from_mapping), ==, 0);
        g_assert_cmpint(share_set_notify(own, EMU_NOTIFY_CLEAR_BYTE | EMU_NOTIFY_SEND_EVENT, 4, from_share), ==, 0);
        handle_free(dying);

        g_assert_cmpint(pread(offered->memfd, &byte, 1, 3), ==, 1);
        g_assert_cmpint(byte, ==, 0);
        byte = 'x';
        g_assert_cmpint(pread(fd, &byte, 1, 4), ==, 1);
        g_assert_cmpint(byte, ==, 0);
        g_assert_cmpuint(take_event(first), ==, 1);
        g_assert_cmpuint(take_event(second), ==, 1);
        g_assert_cmpint(first->state, ==, EMU_EVTCHN_UNBOUND);
        g_assert_cmpint(second->state, ==, EMU_EVTCHN_UNBOUND);
        close(fd);
        handle_free(granter);
}

/* Libraries open event channels and grants as different files, so the port's may be closed first. */
static void test_port_outlives_its_handle(struct machine *m, gconstpointer limits) {
        struct handle *ports = open_handle(m, 1), *grants = open_handle(m, 1), *remote = open_handle(m, 2);
        struct port *port = alloc_port(ports, 2), *peer = bind_port(remote, port);
        struct share *share = share_pages(grants, 2, 1);

        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, port), ==, 0);
        handle_free(ports);
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 1);
        g_assert_cmpint(peer->state, ==, EMU_EVTCHN_INTERDOMAIN);
        g_assert_null(handle_find_port(grants, port->number));
        g_assert_cmpuint(take_event(peer), ==, 0);

        handle_free(grants);
        g_assert_cmpuint(take_event(peer), ==, 1);
        g_assert_cmpint(peer->state, ==, EMU_EVTCHN_UNBOUND);
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 0);
        handle_free(remote);
}

/* Both ends in one handle, and a share mapped by whoever offers it. */
static void test_alone(struct machine *m, gconstpointer limits) {
        struct handle *handle = open_handle(m, 1);
        struct share *share = share_pages(handle, 1, 1);
        struct port *port = alloc_port(handle, 1);

        bind_port(handle, port);
        g_assert_cmpint(share_set_notify(share, EMU_NOTIFY_SEND_EVENT, 0, port), ==, 0);
        g_assert_cmpint(mapping_set_notify(map_page(handle, share, 0), EMU_NOTIFY_SEND_EVENT, 0, port->remote), ==, 0);
        handle_free(handle);
        g_assert_cmpuint(m->domains[1]->ports.n_used, ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, limits, test) g_test_add("/handle/" path, struct machine, limits, set_up, test, tear_down)
        add("one-too-many-is-EMFILE", &few, test_limit);
        add("a-port-belongs-to-the-handle-that-made-it", NULL, test_ports_of_a_handle);
        add("everything-ends-with-it-in-either-order", NULL, test_everything_ends);
        add("notifies-before-its-ports-close", NULL, test_order);
        add("a-port-outlives-it-for-a-notification", NULL, test_port_outlives_its_handle);
        add("both-ends-in-one-handle", NULL, test_alone);
        return g_test_run();
}
