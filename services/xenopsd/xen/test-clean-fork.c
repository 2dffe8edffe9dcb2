/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Forks while another thread has a lock that the child is going to take. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "clean-fork.h"

struct fixture {
        pthread_mutex_t lock;
        pthread_t holder;
        int tried[2];                   /* a byte from each child that begins to try */
        int held[2];                    /* a byte when the lock is held */
};

static void try_lock(void *userdata) {
        struct fixture *f = userdata;

        if (write(f->tried[1], "", 1) != 1)
                _exit(EXIT_FAILURE);
        pthread_mutex_lock(&f->lock);
        pthread_mutex_unlock(&f->lock);
}

/* Has the lock until the first child has come upon it. */
static void *hold(void *userdata) {
        struct fixture *f = userdata;
        char byte;

        pthread_mutex_lock(&f->lock);
        g_assert_cmpint(write(f->held[1], "", 1), ==, 1);
        g_assert_cmpint(read(f->tried[0], &byte, 1), ==, 1);
        pthread_mutex_unlock(&f->lock);
        return NULL;
}

static void set_up(struct fixture *f, gconstpointer data) {
        pthread_mutex_init(&f->lock, NULL);
        g_assert_cmpint(pipe(f->tried), ==, 0);
        g_assert_cmpint(pipe(f->held), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < 2; i++) {
                close(f->tried[i]);
                close(f->held[i]);
        }
        pthread_mutex_destroy(&f->lock);
}

/* The end of a child that can take the lock, which it shows by its status. */
static void assert_clean(struct fixture *f, pid_t pid) {
        int status;

        if (pid == 0) {
                pthread_mutex_lock(&f->lock);
                _exit(7);
        }
        g_assert_cmpint(pid, >, 0);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 7);
}

static void test_free(struct fixture *f, gconstpointer data) {
        assert_clean(f, clean_fork(try_lock, f, CLEAN_FORK_MS));
}

static void test_held(struct fixture *f, gconstpointer data) {
        char byte;

        g_assert_cmpint(pthread_create(&f->holder, NULL, hold, f), ==, 0);
        g_assert_cmpint(read(f->held[0], &byte, 1), ==, 1);
        assert_clean(f, clean_fork(try_lock, f, CLEAN_FORK_MS));
        g_assert_cmpint(read(f->tried[0], &byte, 1), ==, 1);    /* there was a second child */
        pthread_join(f->holder, NULL);
}

static void test_never_let_go(struct fixture *f, gconstpointer data) {
        pthread_mutex_lock(&f->lock);
        errno = 0;
        g_assert_cmpint(clean_fork(try_lock, f, 1), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
        pthread_mutex_unlock(&f->lock);
        g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);    /* none is left */
        g_assert_cmpint(errno, ==, ECHILD);
}

static void end_child(void *userdata) {
        _exit(EXIT_FAILURE);
}

static void test_child_that_ends(struct fixture *f, gconstpointer data) {
        errno = 0;
        g_assert_cmpint(clean_fork(end_child, f, 1), ==, -1);
        g_assert_cmpint(errno, ==, EAGAIN);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/clean-fork/free", struct fixture, NULL, set_up, test_free, tear_down);
        g_test_add("/clean-fork/held", struct fixture, NULL, set_up, test_held, tear_down);
        g_test_add("/clean-fork/never let go", struct fixture, NULL, set_up, test_never_let_go, tear_down);
        g_test_add("/clean-fork/a child that ends", struct fixture, NULL, set_up, test_child_that_ends, tear_down);
        return g_test_run();
}
