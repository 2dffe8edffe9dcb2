/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Children that use Xen's libraries, forked while other threads use them. Without Xen, only the lock for handles is at stake; in the lab, that for
 * the buffers of hypercalls, too. With fork(), one in four to ten of these children stands still.
 */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <xencall.h>

#include "context.h"

#define N_THREADS 3u
#define N_CHILDREN 20u
#define DEADLINE_MS 60000

static void be_silent(xentoollog_logger *logger, xentoollog_level level, int errno_value, const char *context, const char *format, va_list arguments) {
}

static void show_nothing(xentoollog_logger *logger, const char *context, const char *what, int percent, unsigned long done, unsigned long total) {
}

static xentoollog_logger silent = { .vmessage = be_silent, .progress = show_nothing };

/* As an operation of libxl begins, and asks Xen for something. */
static void use_libraries(void) {
        xencall_handle *handle = xencall_open(&silent, 0);

        for (unsigned i = 0; i < 100 && handle; i++) {
                void *buffer = xencall_alloc_buffer(handle, 1);

                if (buffer)
                        xencall_free_buffer(handle, buffer);
        }
        if (handle)
                xencall_close(handle);
}

static void *use_until_over(void *userdata) {
        while (!atomic_load((atomic_bool *) userdata))
                use_libraries();
        return NULL;
}

static void assert_ends(pid_t pid) {
        struct pollfd pidfd = { .fd = pidfd_open(pid, 0), .events = POLLIN };
        int status;

        g_assert_cmpint(pidfd.fd, >=, 0);
        if (poll(&pidfd, 1, DEADLINE_MS) != 1)
                kill(pid, SIGKILL);     /* its status tells */
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        close(pidfd.fd);
}

static void test_fork(void) {
        pthread_t threads[N_THREADS];
        atomic_bool is_over = false;

        for (unsigned i = 0; i < N_THREADS; i++)
                g_assert_cmpint(pthread_create(threads + i, NULL, use_until_over, &is_over), ==, 0);
        for (unsigned i = 0; i < N_CHILDREN; i++) {
                pid_t pid = xen_context_fork();

                g_assert_cmpint(pid, >=, 0);
                if (pid == 0) {
                        use_libraries();
                        _exit(EXIT_SUCCESS);
                }
                assert_ends(pid);
        }
        atomic_store(&is_over, true);
        for (unsigned i = 0; i < N_THREADS; i++)
                pthread_join(threads[i], NULL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/xen-context/fork", test_fork);
        return g_test_run();
}
