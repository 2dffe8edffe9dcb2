/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Workers: lanes, taking back, and the end. There need be no Xen: then work is told that there is no context. */

#include <pthread.h>
#include <stdlib.h>

#include <glib.h>

#include "worker.h"

#define DEADLINE_USEC (60 * UINT64_C(1000000))
#define N 40

struct job {
        struct work work;               /* first */
        unsigned number;
        struct fixture *fixture;
};

struct fixture {
        sd_event *event;
        struct workers *workers;
        struct job jobs[N];
        pthread_mutex_t gate;           /* held: work waits */
        unsigned ended[N], n_ended;
};

static void run(struct work *work, const struct worker_tools *tools) {
        struct job *job = (struct job *) work;

        pthread_mutex_lock(&job->fixture->gate);
        pthread_mutex_unlock(&job->fixture->gate);
}

static void end(struct work *work) {
        struct job *job = (struct job *) work;

        job->fixture->ended[job->fixture->n_ended++] = job->number;
}

static void begin(struct fixture *f) {
        *f = (struct fixture) { .gate = PTHREAD_MUTEX_INITIALIZER };
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(workers_new(&f->workers, f->event), ==, 0);
}

static void add(struct fixture *f, unsigned number, const void *lane) {
        f->jobs[number] = (struct job) { .work = { .run = run, .end = end, .lane = lane }, .number = number, .fixture = f };
        workers_add(f->workers, &f->jobs[number].work);
}

static void wait_for(struct fixture *f, unsigned n) {
        while (f->n_ended < n)
                g_assert_cmpint(sd_event_run(f->event, DEADLINE_USEC), >, 0);
}

static void done(struct fixture *f) {
        f->workers = workers_free(f->workers);
        sd_event_unref(f->event);
}

static void test_lanes(void) {
        struct fixture f;

        begin(&f);
        for (unsigned i = 0; i < N; i++)
                add(&f, i, i % 2 ? &f : NULL);
        wait_for(&f, N);
        for (unsigned i = 0, last = 0; i < N; i++)
                if (f.ended[i] % 2) {   /* those of the lane, in their order */
                        g_assert_cmpuint(f.ended[i], >=, last);
                        last = f.ended[i];
                }
        done(&f);
}

static void test_take_back(void) {
        struct fixture f;

        begin(&f);
        pthread_mutex_lock(&f.gate);
        add(&f, 0, &f);
        add(&f, 1, &f);                 /* behind the first, which waits at the gate or has not begun */
        g_assert_true(workers_take_back(f.workers, &f.jobs[1].work));
        g_assert_false(workers_take_back(f.workers, &f.jobs[1].work));
        pthread_mutex_unlock(&f.gate);
        wait_for(&f, 1);
        g_assert_false(workers_take_back(f.workers, &f.jobs[0].work));
        done(&f);
        g_assert_cmpuint(f.n_ended, ==, 1);
}

static void test_end(void) {
        struct fixture f;

        begin(&f);
        for (unsigned i = 0; i < N; i++)
                add(&f, i, &f);
        done(&f);
        g_assert_cmpuint(f.n_ended, ==, N);     /* done or not, all of it is its owner's again */
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/worker/work-of-one-lane-is-done-in-order", test_lanes);
        g_test_add_func("/worker/what-nobody-has-begun-can-be-taken-back", test_take_back);
        g_test_add_func("/worker/the-end-waits-for-what-is-being-done", test_end);
        return g_test_run();
}
