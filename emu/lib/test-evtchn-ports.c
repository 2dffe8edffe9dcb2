/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The table of ports: both sides of its bounds, and that no port is mistaken for another. */

#include <errno.h>
#include <glib.h>

#include "evtchn-ports.h"

static struct channel_page page;

static void add(struct evtchn_ports *ports, uint32_t number) {
        g_assert_cmpint(evtchn_ports_add(ports, number, &(struct evtchn_port) { .page = &page, .receive = (int) number }), ==, 0);
}

static void test_empty(void) {
        struct evtchn_ports ports = {};
        struct evtchn_port taken;
        uint32_t number = 0;

        g_assert_null(evtchn_ports_get(&ports, 0));
        g_assert_null(evtchn_ports_get(&ports, EVTCHN_PORTS_MAX));
        g_assert_null(evtchn_ports_get(&ports, UINT32_MAX));
        g_assert_false(evtchn_ports_take(&ports, 1, &taken));
        g_assert_null(evtchn_ports_next(&ports, &number));
        evtchn_ports_deinit(&ports);
}

static void test_bounds(void) {
        const uint32_t numbers[] = { 0, 1, EVTCHN_PORTS_PER_CHUNK - 1, EVTCHN_PORTS_PER_CHUNK, 4095, 4096, EVTCHN_PORTS_MAX - 1 };
        struct evtchn_ports ports = {};
        struct evtchn_port taken;

        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                add(&ports, numbers[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                g_assert_cmpint(evtchn_ports_get(&ports, numbers[i])->receive, ==, numbers[i]);

        g_assert_null(evtchn_ports_get(&ports, 2));
        g_assert_cmpint(evtchn_ports_add(&ports, 1, &(struct evtchn_port) { .page = &page }), ==, -EEXIST);
        g_assert_cmpint(evtchn_ports_add(&ports, EVTCHN_PORTS_MAX, &(struct evtchn_port) { .page = &page }), ==, -ERANGE);

        g_assert_true(evtchn_ports_take(&ports, 4095, &taken));
        g_assert_cmpint(taken.receive, ==, 4095);
        g_assert_false(evtchn_ports_take(&ports, 4095, &taken));
        g_assert_null(evtchn_ports_get(&ports, 4095));
        add(&ports, 4095);
        evtchn_ports_deinit(&ports);
}

static void test_walk(void) {
        const uint32_t numbers[] = { 0, 255, 256, 70000, EVTCHN_PORTS_MAX - 1 };
        struct evtchn_ports ports = {};
        uint32_t number = 0;
        size_t n = 0;

        for (size_t i = G_N_ELEMENTS(numbers); i > 0; i--)
                add(&ports, numbers[i - 1]);

        for (struct evtchn_port *port; (port = evtchn_ports_next(&ports, &number)); number++, n++) {
                g_assert_cmpuint(number, ==, numbers[n]);
                g_assert_cmpint(port->receive, ==, numbers[n]);
        }
        g_assert_cmpuint(n, ==, G_N_ELEMENTS(numbers));
        evtchn_ports_deinit(&ports);
}

static void test_full(void) {
        struct evtchn_ports ports = {};

        for (uint32_t i = 0; i < EVTCHN_PORTS_MAX; i++)
                add(&ports, i);
        for (uint32_t i = 0; i < EVTCHN_PORTS_MAX; i++)
                g_assert_cmpint(evtchn_ports_get(&ports, i)->receive, ==, i);
        evtchn_ports_deinit(&ports);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/evtchn-ports/nothing-is-bound-at-first", test_empty);
        g_test_add_func("/evtchn-ports/both-sides-of-every-bound", test_bounds);
        g_test_add_func("/evtchn-ports/a-walk-finds-each-port-once-in-order", test_walk);
        g_test_add_func("/evtchn-ports/all-the-ports-xen-can-have", test_full);
        return g_test_run();
}
