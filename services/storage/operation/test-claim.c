/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Claims: who may go together, who waits, and in what order they come to their turn. */

#include <glib.h>

#include "claim.h"

static GString *order;

struct named {
        struct claim claim;
        char name;
};

static void on_granted(struct claim *claim) {
        g_string_append_c(order, ((struct named *) claim)->name);
}

static bool make(struct named *named, char name, struct resource *resource, bool exclusive) {
        *named = (struct named) { .claim.on_granted = on_granted, .name = name };
        return claim_make(&named->claim, resource, exclusive);
}

static void test_shared_go_together(void) {
        struct resource resource = {};
        struct named a, b;

        g_assert_true(make(&a, 'a', &resource, false));
        g_assert_true(make(&b, 'b', &resource, false));
        claim_release(&a.claim);
        claim_release(&b.claim);
        g_assert_cmpuint(resource.n_shared, ==, 0);
}

static void test_exclusive_is_alone(void) {
        struct resource resource = {};
        struct named a, b, c;

        order = g_string_new("");
        g_assert_true(make(&a, 'a', &resource, true));
        g_assert_false(make(&b, 'b', &resource, true));
        g_assert_false(make(&c, 'c', &resource, false));
        claim_release(&a.claim);
        g_assert_cmpstr(order->str, ==, "b");
        claim_release(&b.claim);
        g_assert_cmpstr(order->str, ==, "bc");
        claim_release(&c.claim);
        g_string_free(order, TRUE);
}

static void test_nobody_is_overtaken(void) {
        struct resource resource = {};
        struct named a, b, c, d;

        order = g_string_new("");
        g_assert_true(make(&a, 'a', &resource, false));
        g_assert_false(make(&b, 'b', &resource, true));
        g_assert_false(make(&c, 'c', &resource, false));        /* could go with a, but b came first */
        g_assert_false(make(&d, 'd', &resource, false));
        claim_release(&a.claim);
        g_assert_cmpstr(order->str, ==, "b");
        claim_release(&b.claim);
        g_assert_cmpstr(order->str, ==, "bcd");
        claim_release(&c.claim);
        claim_release(&d.claim);
        g_string_free(order, TRUE);
}

static void test_one_that_gives_up_lets_the_others_go(void) {
        struct resource resource = {};
        struct named a, b, c;

        order = g_string_new("");
        g_assert_true(make(&a, 'a', &resource, false));
        g_assert_false(make(&b, 'b', &resource, true));
        g_assert_false(make(&c, 'c', &resource, false));
        claim_release(&b.claim);
        g_assert_cmpstr(order->str, ==, "c");
        g_assert_cmpuint(resource.n_waiting, ==, 0);
        claim_release(&a.claim);
        claim_release(&c.claim);
        g_string_free(order, TRUE);
}

static void test_room_is_for_so_many(void) {
        struct resource resource = { .room = 2 };
        struct named a, b, c;

        order = g_string_new("");
        g_assert_true(make(&a, 'a', &resource, false));
        g_assert_true(make(&b, 'b', &resource, false));
        g_assert_false(make(&c, 'c', &resource, false));
        claim_release(&b.claim);
        g_assert_cmpstr(order->str, ==, "c");
        claim_release(&a.claim);
        claim_release(&c.claim);
        g_string_free(order, TRUE);
}

static void test_release_without_claim(void) {
        struct named a = {};

        claim_release(&a.claim);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/claim/shared-go-together", test_shared_go_together);
        g_test_add_func("/claim/exclusive-is-alone", test_exclusive_is_alone);
        g_test_add_func("/claim/nobody-is-overtaken", test_nobody_is_overtaken);
        g_test_add_func("/claim/one-that-gives-up-lets-the-others-go", test_one_that_gives_up_lets_the_others_go);
        g_test_add_func("/claim/room-is-for-so-many", test_room_is_for_so_many);
        g_test_add_func("/claim/release-without-claim", test_release_without_claim);
        return g_test_run();
}
