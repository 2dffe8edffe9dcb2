/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Senders and their numbers. */

#include <glib.h>

#include "peers.h"

static struct pvcalls_name sender(uint32_t i) {
        struct pvcalls_name name;

        pvcalls_name_init(&name, i % 2 ? AF_INET6 : AF_INET);
        pvcalls_name_set_port(&name, (uint16_t) i);
        if (i % 2)
                name.inet6.sin6_addr.s6_addr[0] = (uint8_t) (i >> 16);
        else
                name.inet.sin_addr.s_addr = i;
        return name;
}

static void test_numbers_stay(void) {
        struct peers peers = {};
        struct pvcalls_name a = sender(2), b = sender(3);
        uint32_t of_a = peers_number(&peers, &a), of_b = peers_number(&peers, &b);

        for (int i = 0; i < 3; i++) {
                g_assert_cmpuint(peers_number(&peers, &a), ==, of_a);
                g_assert_cmpuint(peers_number(&peers, &b), ==, of_b);
        }
        g_assert_true(pvcalls_name_equal(peers_find(&peers, of_a), &a));
        g_assert_true(pvcalls_name_equal(peers_find(&peers, of_b), &b));
}

static void test_what_is_nobody_s(void) {
        struct peers peers = {};

        for (uint32_t number = 0; number < 1000; number++)
                g_assert_null(peers_find(&peers, number));
        g_assert_null(peers_find(&peers, UINT32_MAX));
}

/* However many there are, a number is of the sender that it was given for, or of nobody; and it is an address of 127.0.0.0/8 that can be sent from. */
static void test_those_that_are_forgotten(void) {
        static struct peers peers;
        static uint32_t numbers[200000];

        for (uint32_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                struct pvcalls_name name = sender(i);

                numbers[i] = peers_number(&peers, &name);
                g_assert_cmpuint(numbers[i], >=, PEERS_MAX);
                g_assert_cmpuint(numbers[i], <, 0xffffff);
        }
        for (uint32_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
                const struct pvcalls_name *found = peers_find(&peers, numbers[i]);
                struct pvcalls_name name = sender(i);

                if (found)
                        g_assert_true(pvcalls_name_equal(found, &name));
        }
        g_assert_nonnull(peers_find(&peers, numbers[G_N_ELEMENTS(numbers) - 1]));
}

/* What waits of a few senders is never lost, whoever they are; of more, those that were heard from last are kept. */
static void test_few_are_kept(void) {
        for (uint32_t base = 0; base < 4096; base += PEERS_AT_ONCE) {
                static struct peers peers;
                struct pvcalls_name names[PEERS_AT_ONCE];
                uint32_t numbers[PEERS_AT_ONCE];

                for (uint32_t i = 0; i < PEERS_AT_ONCE; i++) {
                        names[i] = sender(2 * (base + i));
                        numbers[i] = peers_number(&peers, &names[i]);
                }
                for (uint32_t i = 0; i < PEERS_AT_ONCE; i++) {
                        g_assert_nonnull(peers_find(&peers, numbers[i]));
                        g_assert_true(pvcalls_name_equal(peers_find(&peers, numbers[i]), &names[i]));
                        g_assert_cmpuint(peers_number(&peers, &names[i]), ==, numbers[i]);
                }
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/peers/numbers-stay", test_numbers_stay);
        g_test_add_func("/peers/nobody", test_what_is_nobody_s);
        g_test_add_func("/peers/forgotten", test_those_that_are_forgotten);
        g_test_add_func("/peers/few-are-kept", test_few_are_kept);
        return g_test_run();
}
