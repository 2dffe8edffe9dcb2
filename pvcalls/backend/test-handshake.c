/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The handshake over all states of both sides. */

#include <glib.h>
#include <stdbool.h>

#include "handshake.h"

static enum xenbus_state after(const struct handshake_view *view, enum handshake_step step) {
        switch (step) {
        case HANDSHAKE_PUBLISH: return XENBUS_INIT_WAIT;
        case HANDSHAKE_CONNECT: return XENBUS_CONNECTED;
        case HANDSHAKE_CLOSE: return XENBUS_CLOSING;
        case HANDSHAKE_CLOSED: return XENBUS_CLOSED;
        default: return view->own;
        }
}

/* Steps until it rests or leaves; fails the test if it does not. */
static enum handshake_step settle(struct handshake_view *view) {
        for (int steps = 0; steps < 4; steps++) {
                enum handshake_step step = handshake_next(view);

                if (step == HANDSHAKE_REST || step == HANDSHAKE_LEAVE)
                        return step;
                if (step == HANDSHAKE_CONNECT) {
                        g_assert_true(view->frontend == XENBUS_INITIALISED || view->frontend == XENBUS_CONNECTED);
                        g_assert_cmpint(view->own, ==, XENBUS_INIT_WAIT);
                        g_assert_true(view->frontend_exists && !view->failed);
                }
                view->own = after(view, step);
        }
        g_error("own %d, frontend %d: it does not come to rest", view->own, view->frontend);
}

static void test_every_pair_comes_to_rest(void) {
        for (int own = 0; own < _XENBUS_N; own++)
                for (int frontend = 0; frontend < _XENBUS_N; frontend++)
                        for (int flags = 0; flags < 8; flags++) {
                                struct handshake_view view = {
                                        .own = (enum xenbus_state) own,
                                        .frontend = (enum xenbus_state) frontend,
                                        .online = flags & 1,
                                        .frontend_exists = flags & 2,
                                        .failed = flags & 4,
                                };
                                enum handshake_step end = settle(&view);

                                if (!view.frontend_exists)
                                        g_assert_true(end == HANDSHAKE_LEAVE && view.own == XENBUS_CLOSED);
                                if (end == HANDSHAKE_LEAVE)
                                        g_assert_true(!view.frontend_exists || !view.online);
                                if (frontend == XENBUS_CLOSED || frontend == XENBUS_UNKNOWN)
                                        g_assert_cmpint(view.own, ==, XENBUS_CLOSED);
                                if (view.failed)
                                        g_assert_cmpint(view.own, !=, XENBUS_CONNECTED);
                        }
}

/* Every sequence of four states of a frontend, and then a good one: it is served, whatever was before. */
static void test_every_history_is_forgotten(void) {
        for (int history = 0; history < 9 * 9 * 9 * 9; history++) {
                struct handshake_view view = { .own = XENBUS_INITIALISING, .online = true, .frontend_exists = true };

                for (int i = 0, rest = history; i < 4; i++, rest /= 9) {
                        view.frontend = (enum xenbus_state) (rest % 9);
                        g_assert_cmpint(settle(&view), ==, HANDSHAKE_REST);
                }
                view.frontend = XENBUS_CLOSED;
                settle(&view);
                g_assert_cmpint(view.own, ==, XENBUS_CLOSED);
                view.frontend = XENBUS_INITIALISING;
                settle(&view);
                g_assert_cmpint(view.own, ==, XENBUS_INIT_WAIT);
                view.frontend = XENBUS_INITIALISED;
                settle(&view);
                g_assert_cmpint(view.own, ==, XENBUS_CONNECTED);
                view.frontend = XENBUS_CONNECTED;
                settle(&view);
                g_assert_cmpint(view.own, ==, XENBUS_CONNECTED);
        }
}

static void test_a_frontend_that_starts_again_is_let_go_of_first(void) {
        struct handshake_view view = { XENBUS_CONNECTED, XENBUS_INITIALISING, true, true, false };

        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_CLOSE);
        view.own = XENBUS_CLOSING;
        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_PUBLISH);
}

static void test_a_failed_device_waits_for_a_new_beginning(void) {
        struct handshake_view view = { XENBUS_CONNECTED, XENBUS_CONNECTED, true, true, true };

        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_CLOSE);
        view.own = XENBUS_CLOSING;
        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_REST);
        view.frontend = XENBUS_CLOSING;
        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_REST);
        view.frontend = XENBUS_CLOSED;
        g_assert_cmpint(handshake_next(&view), ==, HANDSHAKE_CLOSED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/handshake/every-pair-of-states-comes-to-rest", test_every_pair_comes_to_rest);
        g_test_add_func("/handshake/every-history-is-forgotten", test_every_history_is_forgotten);
        g_test_add_func("/handshake/a-frontend-that-starts-again-is-let-go-of-first", test_a_frontend_that_starts_again_is_let_go_of_first);
        g_test_add_func("/handshake/a-failed-device-waits-for-a-new-beginning", test_a_failed_device_waits_for_a_new_beginning);
        return g_test_run();
}
