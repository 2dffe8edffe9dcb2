/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Clients of the multiplexer that die, at any point of what they were doing: nothing of them is left. */

#include <glib.h>

#include "toy-clients.h"

/*
 * A client with one of everything, on a ring that takes a byte at a time, and killed after every number of steps. Whatever it was doing,
 * nothing is left; and what it had sent completely before was done.
 */
static size_t long_life(uint8_t *script, uint32_t id) {
        size_t n = 0;

        n += pack(script + n, XS_WATCH, 1, 0, "path\0token", 11);
        n += pack(script + n, XS_TRANSACTION_START, 2, 0, "", 1);
        n += pack(script + n, XS_WRITE, 3, id, "path\0value", 11);
        n += pack(script + n, XS_TRANSACTION_START, 4, 0, "", 1);
        n += pack(script + n, XS_TRANSACTION_END, 5, id, "T", 2);
        n += pack(script + n, XS_WATCH, 6, 0, "other\0token", 12);
        n += pack(script + n, XS_UNWATCH, 7, 0, "path\0token", 11);
        n += pack(script + n, XS_WRITE, 8, 0, "path\0value", 11);
        return n;
}

static bool live_and_die(unsigned n_steps, bool held) {
        struct toy_clients f;
        uint8_t script[512];
        size_t n_script, n_done = 0;
        unsigned step;

        clients_set_up(&f, NULL);
        n_script = long_life(script, 1);
        f.store->hold = held;
        for (step = 0; step < n_steps; step++) {
                size_t n = n_done < n_script ? put(f.a, script + n_done, 1) : 0;

                n_done += n;
                n += move_down(&f, 1);
                n += move_up(&f, 1);
                if (n == 0 && f.store->n_held > 0) {
                        toy_store_answer(f.store, f.store->n_held - 1);
                        n++;
                }
                if (n == 0)
                        break; /* it had lived its life to the end */
        }
        xenbus_mux_remove(f.mux, f.a);
        do {
                while (f.store->n_held > 0)
                        toy_store_answer(f.store, f.store->n_held - 1);
                run_in_pieces(&f, 1);
        } while (f.store->n_held > 0);

        g_assert_cmpuint(xenbus_mux_n_clients(f.mux), ==, 1);
        expect_nothing(f.b);
        f.store->hold = false;
        xenbus_mux_remove(f.mux, f.b);
        g_assert_cmpuint(xenbus_mux_n_clients(f.mux), ==, 0);
        g_assert_cmpuint(f.store->n_transactions, ==, 0);
        g_assert_cmpuint(f.store->n_watches, ==, 0);
        clients_tear_down(&f, NULL);
        return step < n_steps;
}

static void test_death_in_every_phase(void) {
        for (int held = 0; held < 2; held++) {
                unsigned n_steps = 0;

                while (!live_and_die(n_steps, held))
                        n_steps++;
                g_assert_cmpuint(n_steps, >, 100);
        }
}

static void test_last_message_is_done(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WRITE, 1, 0, "path\0value");
        both_leave(f);
        g_assert_cmpuint(f->store->n_writes, ==, 1);
}

/* That it is answered without xenstored does not keep what the client leaves behind from being tidied up. */
static void test_last_message_is_answered_here(struct toy_clients *f, gconstpointer data) {
        start_transaction(f, f->a);
        ask(f->a, XS_READ, 2, 1234, "path");
        both_leave(f);
}

static void test_half_a_message_is_not(struct toy_clients *f, gconstpointer data) {
        uint8_t message[64];
        size_t n = pack(message, XS_WRITE, 1, 0, "path\0value", 11);

        g_assert_cmpuint(put(f->a, message, n - 1), ==, n - 1);
        both_leave(f);
        g_assert_cmpuint(f->store->n_writes, ==, 0);
}

/* One request is half in the ring when its client dies: the ring must see the rest. */
static void test_death_in_the_middle_of_the_ring(struct toy_clients *f, gconstpointer data) {
        ask(f->a, XS_WRITE, 1, 0, "path\0value");
        g_assert_cmpuint(move_down(f, 20), ==, 20);
        xenbus_mux_remove(f->mux, f->a);
        ask(f->b, XS_READ, 1, 0, "b");
        run(f);
        g_assert_cmpuint(f->store->n_writes, ==, 1);
        expect(f->b, XS_READ, 1, 0, "b");
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 1);
}

static void test_transaction_that_starts_after_death(struct toy_clients *f, gconstpointer data) {
        f->store->hold = true;
        ask(f->a, XS_TRANSACTION_START, 1, 0, "");
        run(f);
        xenbus_mux_remove(f->mux, f->a);
        run(f);
        g_assert_cmpuint(f->store->n_held, ==, 1);
        f->store->hold = false;
        toy_store_answer(f->store, 0);
        run(f);
        g_assert_cmpuint(f->store->n_ended[0], ==, 1);
        g_assert_cmpuint(xenbus_mux_n_clients(f->mux), ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/xenbus-mux-deaths/" path, struct toy_clients, NULL, clients_set_up, test, clients_tear_down)
        g_test_add_func("/xenbus-mux-deaths/death-in-every-phase-leaves-nothing", test_death_in_every_phase);
        add("last-message-is-done", test_last_message_is_done);
        add("last-message-is-answered-here", test_last_message_is_answered_here);
        add("half-a-message-is-not", test_half_a_message_is_not);
        add("death-in-the-middle-of-the-ring", test_death_in_the_middle_of_the_ring);
        add("transaction-that-starts-after-death-is-aborted", test_transaction_that_starts_after_death);
        return g_test_run();
}
