/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the relay and its daemon cannot do any more, each tried in a process of its own. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"

/* Ends with the number of the line that is not as it should be. */
#define demand(condition)                               \
        do {                                            \
                if (!(condition))                       \
                        _exit(__LINE__ & 127 ?: 1);     \
        } while (false)
#define refused(call) demand((call) < 0 && errno == EPERM)

static void try_in_child(void (*tries)(void)) {
        pid_t pid = fork();
        int status;

        g_assert_cmpint(pid, >=, 0);
        if (pid == 0) {
                tries();
                _exit(0);
        }
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_cmpint(status, ==, 0);
}

static void *nothing(void *userdata) {
        return NULL;
}

static void as_daemon(void) {
        struct rlimit core;
        pthread_t thread;

        demand(confine_daemon() == 0);
        refused(fork());
        refused(socket(AF_INET, SOCK_STREAM, 0));
        refused(socket(AF_NETLINK, SOCK_RAW, 0));
        refused(kill(getppid(), 0));
        refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
        demand(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
        demand(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_max == 0);

        demand(kill(getpid(), 0) == 0);
        demand(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
        demand(open("/dev/null", O_RDWR) >= 0);
        demand(pthread_create(&thread, NULL, nothing, NULL) == 0 && pthread_join(thread, NULL) == 0);
}

static void as_relay(void) {
        pid_t daemon = fork();

        demand(daemon >= 0);
        if (daemon == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                for (;;)
                        pause();
        }
        demand(confine_relay(daemon) == 0);
        refused(fork());
        refused(open("/dev/null", O_RDWR));
        refused(socket(AF_INET, SOCK_STREAM, 0));
        refused(kill(getppid(), 0));

        demand(socket(AF_UNIX, SOCK_STREAM, 0) >= 0);
        demand(kill(daemon, SIGKILL) == 0 && waitpid(daemon, NULL, 0) == daemon);
}

static void test_the_daemon(void) {
        try_in_child(as_daemon);
}

static void test_the_relay(void) {
        try_in_child(as_relay);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/confine/the-daemon", test_the_daemon);
        g_test_add_func("/confine/the-relay", test_the_relay);
        return g_test_run();
}
