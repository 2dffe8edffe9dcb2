/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The frontend's handshake: the good order, and that from any state of either side it comes to rest, and to Connected with a backend that works. */

#include <glib.h>

#include "handshake.h"

/* What a step makes of the own state. */
static enum xenbus_state step_state(enum front_step step, enum xenbus_state own) {
        switch (step) {
        case FRONT_BEGIN: return XENBUS_INITIALISING;
        case FRONT_OFFER: return XENBUS_INITIALISED;
        case FRONT_CONNECT: return XENBUS_CONNECTED;
        case FRONT_CLOSE: return XENBUS_CLOSING;
        case FRONT_CLOSED: return XENBUS_CLOSED;
        default: return own;
        }
}

/* Steps until rest. It must come soon, as nothing else changes meanwhile. */
static void settle(struct front_view *view) {
        for (int i = 0; i < 8; i++) {
                enum front_step step = front_next(view);

                if (step == FRONT_REST)
                        return;
                if (step == FRONT_CLOSED)
                        view->failed = false;
                view->own = step_state(step, view->own);
        }
        g_error("never rests: own %d, backend %d", view->own, view->backend);
}

/* A backend as docs/pvcalls.md has it: what it goes to when it sees this frontend. */
static enum xenbus_state backend_follows(enum xenbus_state backend, enum xenbus_state own) {
        switch (own) {
        case XENBUS_INITIALISING:
                if (backend == XENBUS_CONNECTED || backend == XENBUS_INITIALISED)
                        return XENBUS_CLOSING;
                return XENBUS_INIT_WAIT;
        case XENBUS_INITIALISED:
                return backend == XENBUS_INIT_WAIT ? XENBUS_CONNECTED : backend;
        case XENBUS_CLOSING:
                return XENBUS_CLOSING;
        case XENBUS_CLOSED:
                return XENBUS_CLOSED;
        default:
                return backend;
        }
}

static void test_good_order(void) {
        struct front_view view = { .backend = XENBUS_INITIALISING };

        g_assert_cmpint(front_next(&view), ==, FRONT_BEGIN);
        view.own = XENBUS_INITIALISING;
        g_assert_cmpint(front_next(&view), ==, FRONT_REST);
        view.backend = XENBUS_INIT_WAIT;
        g_assert_cmpint(front_next(&view), ==, FRONT_OFFER);
        view.own = XENBUS_INITIALISED;
        g_assert_cmpint(front_next(&view), ==, FRONT_REST);
        view.backend = XENBUS_CONNECTED;
        g_assert_cmpint(front_next(&view), ==, FRONT_CONNECT);
        view.own = XENBUS_CONNECTED;
        g_assert_cmpint(front_next(&view), ==, FRONT_REST);
}

static void test_any_pair_comes_to_rest(void) {
        for (int own = 0; own <= XENBUS_CLOSED; own++)
                for (int backend = 0; backend < _XENBUS_N; backend++)
                        for (int flags = 0; flags < 4; flags++) {
                                struct front_view view = { .own = own, .backend = backend, .leaving = flags & 1, .failed = flags & 2 };

                                settle(&view);
                                g_assert_cmpint(front_next(&view), ==, FRONT_REST);
                        }
}

static void test_any_start_leads_to_connected(void) {
        for (int own = 0; own <= XENBUS_CLOSED; own++)
                for (int backend = 1; backend <= XENBUS_CLOSED; backend++)
                        for (int failed = 0; failed < 2; failed++) {
                                struct front_view view = { .own = own, .backend = backend, .failed = failed };

                                if (own == XENBUS_INIT_WAIT)
                                        continue;               /* no state of a frontend */
                                for (int i = 0; i < 8; i++) {
                                        settle(&view);
                                        view.backend = backend_follows(view.backend, view.own);
                                }
                                g_assert_cmpint(view.own, ==, XENBUS_CONNECTED);
                                g_assert_cmpint(view.backend, ==, XENBUS_CONNECTED);
                        }
}

static void test_leaving_ends_closed(void) {
        for (int own = 1; own <= XENBUS_CLOSED; own++) {
                struct front_view view = { .own = own, .backend = XENBUS_CONNECTED, .leaving = true };

                if (own == XENBUS_INIT_WAIT)
                        continue;
                for (int i = 0; i < 6; i++) {
                        settle(&view);
                        view.backend = backend_follows(view.backend, view.own);
                }
                g_assert_cmpint(view.own, ==, XENBUS_CLOSED);
        }
}

/* Pages are taken back only when the backend has none of them: XSA-396. */
static void test_closed_only_after_the_backend_has_let_go(void) {
        struct front_view view = { .own = XENBUS_CLOSING, .backend = XENBUS_CONNECTED };

        g_assert_cmpint(front_next(&view), ==, FRONT_REST);
        view.backend = XENBUS_CLOSING;
        g_assert_cmpint(front_next(&view), ==, FRONT_CLOSED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/front-handshake/good-order", test_good_order);
        g_test_add_func("/front-handshake/any-pair-comes-to-rest", test_any_pair_comes_to_rest);
        g_test_add_func("/front-handshake/any-start-leads-to-connected", test_any_start_leads_to_connected);
        g_test_add_func("/front-handshake/leaving-ends-closed", test_leaving_ends_closed);
        g_test_add_func("/front-handshake/closed-only-after-the-backend-has-let-go", test_closed_only_after_the_backend_has_let_go);
        return g_test_run();
}
