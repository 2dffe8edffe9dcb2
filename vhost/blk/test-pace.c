/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A queue's pace: it looks while that pays, and seldom or never where it does not; slow drivers are shown answers early, others are not. */

#include <glib.h>

#include "pace.h"

#define MAX_USEC 200u
#define OWN_USEC 300u                   /* until the thread runs, once it was kicked */

struct clock {
        struct pace pace;
        uint64_t now;
        uint64_t looked_usec;           /* in all */
        unsigned n_slept;
        long n_preempted;
};

static void begin(struct clock *clock, uint32_t max_usec, unsigned n_cpus) {
        *clock = (struct clock) { .now = 1000, .n_preempted = 7 };
        pace_init(&clock->pace, max_usec, n_cpus, clock->n_preempted);
}

/* A wait, as the worker does it, for something that comes usec later. */
static void wait_for(struct clock *clock, uint64_t usec, bool crowded) {
        uint64_t began = clock->now, comes = clock->now + usec;

        while (clock->now < comes && pace_look(&clock->pace, clock->now))
                clock->now++;
        clock->looked_usec += clock->now - began;
        if (clock->now > began) {
                g_assert_true(clock->pace.has_looked);
                pace_looked(&clock->pace, crowded ? ++clock->n_preempted : clock->n_preempted);
                g_assert_false(clock->pace.has_looked);
        }
        if (clock->now < comes) {
                clock->n_slept++;
                clock->now = comes + OWN_USEC;
        }
        pace_came(&clock->pace, clock->now);
}

static void wait_often(struct clock *clock, unsigned n, uint64_t usec, bool crowded) {
        clock->looked_usec = 0;
        clock->n_slept = 0;
        for (unsigned i = 0; i < n; i++)
                wait_for(clock, usec, crowded);
}

static void test_never(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 1);
        wait_often(&clock, 1000, 1, false);
        g_assert_cmpuint(clock.looked_usec, ==, 0);
        begin(&clock, 0, 8);
        wait_often(&clock, 1000, 1, false);
        g_assert_cmpuint(clock.looked_usec, ==, 0);
}

static void test_while_it_pays(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 1000, 50, false);
        g_assert_cmpuint(clock.n_slept, ==, 0);
        g_assert_cmpuint(clock.pace.usec, ==, 100);

        /* Up to the bound, and no longer. */
        wait_often(&clock, 100, 180, false);
        g_assert_cmpuint(clock.n_slept, ==, 1);
        wait_often(&clock, 100, 2, false);
        g_assert_cmpuint(clock.n_slept, ==, 0);
        g_assert_cmpuint(clock.pace.usec, <, 40);
}

static void test_not_where_it_does_not(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 100, 50, false);
        wait_often(&clock, 10, 1000, false);
        g_assert_cmpuint(clock.looked_usec, <=, 4 * MAX_USEC);
        wait_often(&clock, 100000, 1000, false);
        g_assert_cmpuint(clock.looked_usec, <=, 110 * MAX_USEC);        /* one in a thousand */
}

static void test_own_wake_up_hides_what_would_pay(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 10000, 1000, false);
        wait_often(&clock, 1025, 50, false);    /* each of which takes longer than the bound, as long as it sleeps */
        wait_often(&clock, 100, 50, false);
        g_assert_cmpuint(clock.n_slept, ==, 0);
}

static void test_others_want_the_cpu(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 100, 50, false);
        wait_for(&clock, 50, true);
        wait_often(&clock, 16, 50, false);
        g_assert_cmpuint(clock.n_slept, >=, 15);
        wait_often(&clock, 10, 50, false);
        g_assert_cmpuint(clock.n_slept, <=, 1);

        /* Ever less often, while it goes on so. */
        wait_often(&clock, 100000, 50, true);
        g_assert_cmpuint(clock.n_slept, >, 99900);

        /* And as at first when it has long been quiet. */
        wait_often(&clock, 20000, 50, false);
        wait_for(&clock, 50, true);
        wait_often(&clock, 16, 50, false);
        g_assert_cmpuint(clock.n_slept, >=, 15);
        wait_often(&clock, 10, 50, false);
        g_assert_cmpuint(clock.n_slept, <=, 1);
}

/* A batch of 32 requests of 2 us each. Returns how many groups were shown before it ended, the first of them after *ret_first. */
static unsigned run_batch(struct clock *clock, uint64_t *ret_first) {
        uint64_t began = clock->now;
        unsigned n = 0;

        pace_begin(&clock->pace, clock->now);
        for (unsigned i = 0; i < PACE_BATCH; i++, clock->now += 2)
                if (pace_shows(&clock->pace, clock->now) && n++ == 0)
                        *ret_first = clock->now - began;
        return n;
}

static void test_slow_drivers_are_shown_answers_early(void) {
        struct clock clock;
        uint64_t first;

        begin(&clock, MAX_USEC, 2);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
        wait_often(&clock, 20, 60, false);
        for (int i = 0; i < 3; i++) {
                g_assert_cmpuint(run_batch(&clock, &first), ==, 2);
                g_assert_cmpuint(first, ==, 16);
                pace_notified(&clock.pace);
        }

        /* Until it turns out to be faster than that: it has asked for more within the batch. */
        pace_notified(&clock.pace);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
        wait_often(&clock, 3, 60, false);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
        wait_often(&clock, 20, 60, false);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 2);
}

static void test_others_are_not(void) {
        struct clock clock;
        uint64_t first;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 1000, 15, false);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);

        /* Nor those that nobody waits for awake: two wake-ups are not better than one. */
        wait_often(&clock, 100, 60, false);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 2);
        wait_often(&clock, 100, 1000, false);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
}

static void test_what_says_nothing(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        for (int i = 0; i < 1000; i++) {
                g_assert_true(pace_look(&clock.pace, clock.now));
                pace_looked(&clock.pace, clock.n_preempted);
                clock.now += 100000;
                pace_forget(&clock.pace);
                pace_came(&clock.pace, clock.now);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pace/never-on-one-cpu-or-if-told-so", test_never);
        g_test_add_func("/pace/looks-while-it-pays", test_while_it_pays);
        g_test_add_func("/pace/seldom-looks-where-it-does-not", test_not_where_it_does_not);
        g_test_add_func("/pace/finds-out-that-it-would-pay", test_own_wake_up_hides_what_would_pay);
        g_test_add_func("/pace/seldom-where-others-want-the-cpu", test_others_want_the_cpu);
        g_test_add_func("/pace/slow-drivers-are-shown-answers-early", test_slow_drivers_are_shown_answers_early);
        g_test_add_func("/pace/others-are-not", test_others_are_not);
        g_test_add_func("/pace/a-wait-for-something-else-says-nothing", test_what_says_nothing);
        return g_test_run();
}
