/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A queue's thread and its driver, simulated: two loops on two CPUs, each of which sleeps when it has nothing to do, and takes a while to wake. With its
 * pace, the thread is to have a good part of what it would have if it always looked for more or never did, whichever is better: however long waking
 * takes, however many requests are in flight, and from the worst beginning, which is sleeping in turns.
 */

#include <glib.h>

#include "pace.h"

#define MAX_USEC 200u
#define USEC UINT64_C(1000)             /* times are of nanoseconds */
#define BEGIN (10000000 * USEC)
#define REST (PACE_SHARE * MAX_USEC * USEC)
#define MEASURED (2 * REST)
#define REFILL 300u                     /* the driver, for a request */
#define NOTIFY 2000u                    /* either, to notify the other */
#define LOOK 400u                       /* at a ring that has nothing */

struct scene {
        uint64_t wake, request;
        uint64_t depth;
        uint64_t busy_every, busy;      /* somebody else has the thread's CPU so often for so long */
};

enum policy { PACED, ALWAYS, NEVER };

struct side {
        uint64_t now;
        bool sleeps;
};

struct sim {
        struct scene scene;
        enum policy policy;
        struct side thread, driver;
        uint64_t n_available, n_taken, n_answered, n_shown, n_seen, n_put; /* requests, on their way */
        uint64_t kick_at, call_at;      /* the event indexes */
        unsigned n_batch;
        bool in_batch;
        uint64_t busy_next;
        struct pace pace;
};

static void wake(struct sim *sim, struct side *from, struct side *to) {
        from->now += NOTIFY;
        if (!to->sleeps)
                return;
        to->sleeps = false;
        to->now = from->now + sim->scene.wake;
}

static void show(struct sim *sim) {
        uint64_t before = sim->n_shown;

        sim->n_shown = sim->n_taken;
        if (before <= sim->call_at && sim->n_shown > sim->call_at)
                wake(sim, &sim->thread, &sim->driver);
}

/* Others have the CPU if it is their turn, whatever the thread does there but sleep. */
static void let_others(struct sim *sim) {
        if (sim->scene.busy == 0 || sim->thread.now < sim->busy_next)
                return;
        if (!sim->thread.sleeps)
                sim->thread.now += sim->scene.busy;
        sim->busy_next = sim->thread.now + sim->scene.busy_every;
}

static void sleep_or_look(struct sim *sim) {
        bool looks = pace_look(&sim->pace, sim->thread.now / USEC);

        sim->thread.now += LOOK;
        let_others(sim);
        if (looks)
                pace_gave_way(&sim->pace, sim->thread.now / USEC);
        if (sim->policy == ALWAYS || (sim->policy == PACED && looks))
                return;
        sim->kick_at = sim->n_taken;
        sim->thread.sleeps = sim->n_available == sim->n_taken;
}

/* A request, or the end of a batch, or a look. */
static void step_thread(struct sim *sim) {
        if (!sim->in_batch) {
                pace_begin(&sim->pace, sim->thread.now / USEC);
                sim->in_batch = true;
                sim->n_batch = 0;
        }
        if (pace_shows(&sim->pace, sim->thread.now / USEC))
                show(sim);
        if (sim->n_batch < PACE_BATCH && sim->n_taken < sim->n_available) {
                sim->thread.now += sim->scene.request;
                sim->n_taken++;
                sim->n_batch++;
                let_others(sim);
                return;
        }
        show(sim);
        sim->in_batch = false;
        if (sim->n_batch > 0)
                pace_came(&sim->pace);
        else
                sleep_or_look(sim);
}

/* As bench/vhost/requests.c has it: asks for more for each answer that it sees, and sleeps when there are no more of them. */
static void step_driver(struct sim *sim) {
        uint64_t before = sim->n_available;

        if (sim->n_seen < sim->n_shown) {
                sim->n_seen++;
                sim->n_put++;
                sim->driver.now += REFILL;
        } else if (sim->n_put > sim->n_available) {
                sim->n_available = sim->n_put;
                if (before <= sim->kick_at && sim->n_available > sim->kick_at)
                        wake(sim, &sim->driver, &sim->thread);
        } else {
                sim->call_at = sim->n_seen;
                sim->driver.sleeps = true;
        }
}

/* Requests that are answered in the time that is measured, which begins when the thread has had time to find out. */
static uint64_t run(const struct scene *scene, enum policy policy) {
        struct sim sim = {
                .scene = *scene,
                .policy = policy,
                .thread = { .now = BEGIN, .sleeps = true },
                .driver = { .now = BEGIN },
                .n_put = scene->depth,
                .busy_next = BEGIN + REST + scene->busy_every,
        };
        uint64_t from = BEGIN + REST + 1000 * USEC, before = 0;

        pace_init(&sim.pace, policy == NEVER ? 0 : MAX_USEC, 2);
        sim.pace.paid_usec = (BEGIN + REST) / USEC;
        while (MIN(sim.thread.now, sim.driver.now) < from + MEASURED) {
                g_assert_false(sim.thread.sleeps && sim.driver.sleeps);
                if (sim.driver.sleeps || (!sim.thread.sleeps && sim.thread.now <= sim.driver.now))
                        step_thread(&sim);
                else
                        step_driver(&sim);
                if (before == 0 && sim.driver.now >= from && sim.n_seen > 0)
                        before = sim.n_seen;
                if (sim.thread.sleeps)
                        sim.thread.now = MAX(sim.thread.now, sim.driver.now);
                else if (sim.driver.sleeps)
                        sim.driver.now = MAX(sim.driver.now, sim.thread.now);
        }
        return sim.n_seen - before;
}

static void test_turns(void) {
        static const uint64_t wakes[] = { 2, 10, 50, 100, 180, 300 }, depths[] = { 1, 8, 32, 64 }, requests[] = { 200, 2000, 12000 },
                              busy[][2] = { { 0, 0 }, { 4000, 20 }, { 20000, 100 } };

        for (size_t i = 0; i < G_N_ELEMENTS(wakes) * G_N_ELEMENTS(depths) * G_N_ELEMENTS(requests) * G_N_ELEMENTS(busy); i++) {
                size_t j = i / G_N_ELEMENTS(wakes), k = j / G_N_ELEMENTS(depths), l = k / G_N_ELEMENTS(requests);
                const struct scene scene = {
                        .wake = wakes[i % G_N_ELEMENTS(wakes)] * USEC,
                        .depth = depths[j % G_N_ELEMENTS(depths)],
                        .request = requests[k % G_N_ELEMENTS(requests)],
                        .busy_every = busy[l][0] * USEC,
                        .busy = busy[l][1] * USEC,
                };
                uint64_t paced = run(&scene, PACED), always = run(&scene, ALWAYS), never = run(&scene, NEVER);

                g_test_message("waking %" G_GUINT64_FORMAT " us, depth %" G_GUINT64_FORMAT ", request %" G_GUINT64_FORMAT " ns, busy %" G_GUINT64_FORMAT
                               " us: %" G_GUINT64_FORMAT ", always looking %" G_GUINT64_FORMAT ", never %" G_GUINT64_FORMAT,
                               scene.wake / USEC, scene.depth, scene.request, scene.busy / USEC, paced, always, never);
                g_assert_cmpuint(paced * 20, >=, never * 19);
                if (scene.wake < MAX_USEC * USEC)       /* else it would have to look for longer than it may */
                        g_assert_cmpuint(paced * 10, >=, MAX(always, never) * 9);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pace/turns", test_turns);
        return g_test_run();
}
