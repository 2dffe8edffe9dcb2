/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A queue's pace: what looks in vain may cost, whatever comes when and whoever has the CPU, and that it soon looks again whatever was before. */

#include <glib.h>

#include "pace.h"

#define MAX_USEC 200u
#define OWN_USEC 300u                   /* until the thread runs, once it was kicked */
#define STEP_USEC 1u                    /* of a look */

/* How long it rests at the most: after a look in vain, and after one during which somebody else had the CPU. */
#define REST_USEC ((uint64_t) PACE_SHARE * MAX_USEC)
#define REST_MAX_USEC (REST_USEC * PACE_COST_MAX)

struct clock {
        struct pace pace;
        uint64_t began, now;
        uint64_t vain_usec;             /* looks that saw nothing, or too late, as they are charged */
        uint64_t looked_usec;
        unsigned n_hit, n_slept;
};

static void begin(struct clock *clock, uint32_t max_usec, unsigned n_cpus) {
        *clock = (struct clock) { .began = 1000000000, .now = 1000000000 };
        pace_init(&clock->pace, max_usec, n_cpus);
}

/* A wait, as the worker does it, for something that comes usec later. Whoever it gives way to has the CPU for taken_usec, once. */
static void wait_for(struct clock *clock, uint64_t usec, uint64_t taken_usec) {
        uint64_t since = clock->now, comes = since + usec, looked;
        uint64_t taken = 0;

        pace_begin(&clock->pace, clock->now);
        while (pace_look(&clock->pace, clock->now)) {
                clock->now += STEP_USEC + taken_usec;
                taken += taken_usec >= 20 ? STEP_USEC + taken_usec : 0;
                taken_usec = 0;
                pace_gave_way(&clock->pace, clock->now);
                pace_begin(&clock->pace, clock->now);
                if (clock->now >= comes)
                        break;
        }
        looked = clock->now - since;
        clock->looked_usec += looked;
        clock->vain_usec += MIN(PACE_TAKEN * taken, PACE_COST_MAX * MAX_USEC);
        looked -= taken;
        if (!clock->pace.has_slept && looked <= MAX_USEC)
                clock->n_hit++;
        else
                clock->vain_usec += MIN(looked, PACE_COST_MAX * MAX_USEC);      /* at the most */
        if (clock->now < comes) {
                clock->n_slept++;
                clock->now = comes + OWN_USEC;
                pace_begin(&clock->pace, clock->now);
        }
        pace_came(&clock->pace);
        g_assert_cmpuint(clock->pace.idle_since_usec, ==, 0);

        /* The bounds that pace.h promises, at any time. */
        g_assert_cmpuint(clock->pace.paid_usec, <=, clock->now + REST_MAX_USEC);
        g_assert_cmpuint(clock->vain_usec, <=, (clock->now - clock->began) / PACE_SHARE + PACE_SAVED_USEC * clock->n_hit + (PACE_CREDIT + 2 * PACE_COST_MAX) * MAX_USEC);
}

static void wait_often(struct clock *clock, unsigned n, uint64_t usec, uint64_t taken_usec) {
        clock->looked_usec = 0;
        clock->n_slept = 0;
        for (unsigned i = 0; i < n; i++)
                wait_for(clock, usec, taken_usec);
}

/* From now on it is worth while. Returns how long it takes until it looks and goes on doing so. */
static uint64_t recover(struct clock *clock, uint64_t usec) {
        uint64_t from = clock->now, last = from;

        while (clock->now - from < REST_MAX_USEC + REST_USEC) {
                clock->n_slept = 0;
                wait_for(clock, usec, 0);
                if (clock->n_slept > 0)
                        last = clock->now;
        }
        return last - from;
}

static void test_never(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 1);
        wait_often(&clock, 1000, 1, 0);
        g_assert_cmpuint(clock.looked_usec, ==, 0);
        begin(&clock, 0, 8);
        wait_often(&clock, 1000, 1, 0);
        g_assert_cmpuint(clock.looked_usec, ==, 0);
}

static void test_while_it_pays(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 1000, 50, 0);
        g_assert_cmpuint(clock.n_slept, ==, 0);
        g_assert_cmpuint(clock.pace.usec, ==, 100);

        /* Up to the bound, and no longer. */
        wait_often(&clock, 100, 180, 0);
        g_assert_cmpuint(clock.n_slept, ==, 1);
        wait_often(&clock, 100, 2, 0);
        g_assert_cmpuint(clock.n_slept, ==, 0);
        g_assert_cmpuint(clock.pace.usec, <, 40);
}

/* Bursts end in a look in vain, which is short, and which what was seen before it has paid for. */
static void test_bursts(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        for (int i = 0; i < 10000; i++) {
                wait_often(&clock, 3, 10, 0);
                g_assert_cmpuint(clock.n_slept, ==, 0);
                wait_for(&clock, 2000, 0);
        }
}

static void test_not_where_it_does_not(void) {
        struct clock clock;
        uint64_t from;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 100, 50, 0);
        from = clock.now;
        wait_often(&clock, 100000, 1000, 0);
        g_assert_cmpuint(clock.looked_usec, <=, (clock.now - from) / PACE_SHARE + (PACE_CREDIT + 1) * MAX_USEC + 100 * PACE_SAVED_USEC);
}

/* Each of the waits takes longer than the bound as long as it sleeps, because its own wake-up does. */
static void test_sleeping_in_turns_ends(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 10000, 1000, 0);
        g_assert_cmpuint(recover(&clock, 50), <=, REST_USEC + 50 + OWN_USEC);
        wait_often(&clock, 10000, 100000, 0);   /* seldom enough for it to have all of its credit */
        g_assert_cmpuint(recover(&clock, 199), <=, 199 + OWN_USEC);
}

static void test_others_want_the_cpu(void) {
        struct clock clock;
        uint64_t from;

        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 100, 50, 0);
        from = clock.now;
        wait_often(&clock, 100000, 50, 4000);
        g_assert_cmpuint(clock.looked_usec, <=, (clock.now - from) / PACE_SHARE + PACE_CREDIT * MAX_USEC + 4000 + 100 * PACE_SAVED_USEC);
        g_assert_cmpuint(recover(&clock, 50), <=, REST_MAX_USEC + 50 + OWN_USEC);

        /* However long they have it, or however short: they will have more. */
        wait_often(&clock, 100, 50, 60000000);
        g_assert_cmpuint(recover(&clock, 50), <=, REST_MAX_USEC + 50 + OWN_USEC);
        wait_often(&clock, 1000, 50, 49);
        g_assert_cmpuint(clock.n_slept, >, 900);

        /* Unless they hardly had it. */
        begin(&clock, MAX_USEC, 2);
        wait_often(&clock, 10000, 50, 5);
        g_assert_cmpuint(clock.n_slept, ==, 0);
}

/* Something that happens now and then, as on any machine, does not end in rests: what is seen between pays for more than that. */
static void test_a_busy_moment_now_and_then(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        for (int i = 0; i < 1000; i++) {
                wait_often(&clock, 100, 50, 0);
                wait_for(&clock, 50, i % 20 == 0 ? 1000 : 20);
                g_assert_cmpuint(clock.n_slept, ==, 0);
        }
}

/* Any order of what is quick, slow and taken; then it pays. */
static void test_whatever_was_before(void) {
        static const uint64_t waits[] = { 1, 15, 50, 199, 201, 450, 1000, 30000 }, taken[] = { 0, 0, 0, 20, 150, 1000, 4000, 1000000 };
        GRand *random = g_rand_new_with_seed(7);
        struct clock clock;

        for (int i = 0; i < 12; i++) {
                int n = g_rand_int_range(random, 1, 500), n_waits = g_rand_int_range(random, 1, 9), n_taken = g_rand_int_range(random, 1, 9);

                begin(&clock, MAX_USEC, 2);
                while (n-- > 0)
                        wait_for(&clock, waits[g_rand_int_range(random, 0, n_waits)], taken[g_rand_int_range(random, 0, n_taken)]);
                g_assert_cmpuint(recover(&clock, waits[i % 4]), <=, REST_MAX_USEC + 199 + OWN_USEC);
        }
        g_rand_free(random);
}

/* A batch of 32 requests of 2 us each. Returns how many groups were shown before it ended, the first of them after *ret_first. */
static unsigned run_batch(struct clock *clock, uint64_t *ret_first) {
        uint64_t began = clock->now;
        unsigned n = 0;

        pace_begin(&clock->pace, clock->now);
        for (unsigned i = 0; i < PACE_BATCH; i++, clock->now += 2)
                if (pace_shows(&clock->pace, clock->now) && n++ == 0)
                        *ret_first = clock->now - began;
        pace_came(&clock->pace);
        return n;
}

/* Waits, so that a batch begins with what it waited for. */
static void look_for_a_batch(struct clock *clock) {
        g_assert_true(pace_look(&clock->pace, clock->now));
        clock->now += 20;
}

static void test_who_is_waited_for_is_shown_answers_early(void) {
        struct clock clock;
        uint64_t first;

        begin(&clock, MAX_USEC, 2);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
        look_for_a_batch(&clock);
        for (int i = 0; i < 4; i++) {
                g_assert_cmpuint(run_batch(&clock, &first), ==, 1);
                g_assert_cmpuint(first, ==, 16);
        }

        /* Until it comes in time for longer than that. */
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
        look_for_a_batch(&clock);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 1);

        /* Nor if nobody waits for it awake. */
        wait_often(&clock, 100, 1000, 0);
        g_assert_cmpuint(run_batch(&clock, &first), ==, 0);
}

static void test_what_says_nothing(void) {
        struct clock clock;

        begin(&clock, MAX_USEC, 2);
        for (int i = 0; i < 1000; i++) {
                g_assert_true(pace_look(&clock.pace, clock.now));
                clock.now += 100000;
                pace_forget(&clock.pace);
                pace_begin(&clock.pace, clock.now);
                pace_came(&clock.pace);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pace/never-on-one-cpu-or-if-told-so", test_never);
        g_test_add_func("/pace/looks-while-it-pays", test_while_it_pays);
        g_test_add_func("/pace/bursts-pay-for-their-ends", test_bursts);
        g_test_add_func("/pace/no-more-than-its-share-where-it-does-not", test_not_where_it_does_not);
        g_test_add_func("/pace/sleeping-in-turns-ends", test_sleeping_in_turns_ends);
        g_test_add_func("/pace/no-more-than-its-share-where-others-want-the-cpu", test_others_want_the_cpu);
        g_test_add_func("/pace/a-busy-moment-now-and-then-is-no-reason", test_a_busy_moment_now_and_then);
        g_test_add_func("/pace/looks-again-soon-whatever-was-before", test_whatever_was_before);
        g_test_add_func("/pace/who-is-waited-for-is-shown-answers-early", test_who_is_waited_for_is_shown_answers_early);
        g_test_add_func("/pace/a-wait-for-something-else-says-nothing", test_what_says_nothing);
        return g_test_run();
}
