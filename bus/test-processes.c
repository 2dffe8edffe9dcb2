/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Programs: what they are started with, and that none of them is left. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "processes.h"

/* Runs a shell command with a pipe as descriptor 3, and more from the program given. Returns what it writes there, if there is room. */
static void run_shell(const char *command, struct program program, char *ret_text, size_t size) {
        const char *const argv[] = { "/bin/sh", "-c", command, NULL };
        int pipe_fds[2];
        size_t n = 0;
        ssize_t r;
        pid_t pid;

        g_assert_cmpint(pipe2(pipe_fds, O_CLOEXEC), ==, 0);
        program.argv = argv;
        program.fds = &pipe_fds[1];
        program.n_fds = 1;
        g_assert_cmpint(processes_start(&program, &pid), ==, 0);
        close(pipe_fds[1]);
        while ((r = read(pipe_fds[0], ret_text + n, size - 1 - n)) > 0)
                n += r;
        close(pipe_fds[0]);
        ret_text[n] = '\0';
        g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
}

static void test_what_a_program_finds(void) {
        const char *const environment[] = { "XCP_TEST=a b", NULL };
        char text[256];

        g_setenv("NOTIFY_SOCKET", "/ours", TRUE);
        run_shell("echo \"$XCP_TEST,$LISTEN_FDS,$((LISTEN_PID == $$)),$NOTIFY_SOCKET\" >&3\n"
                  "readlink /proc/self/fd/0 >&3; ls /proc/self/fd >&3",
                  (struct program) { .environment = environment, .n_listen_fds = 1 }, text, sizeof text);
        /* ls has one more descriptor, for the directory */
        g_assert_cmpstr(text, ==, "a b,1,1,\n/dev/null\n0\n1\n2\n3\n4\n");
}

static void test_signals_are_not_blocked(void) {
        char text[256];

        run_shell("grep -E '^SigBlk' /proc/self/status >&3", (struct program) {}, text, sizeof text);
        g_assert_cmpstr(text, ==, "SigBlk:\t0000000000000000\n");
}

static void test_a_program_that_is_not_there(void) {
        const char *const argv[] = { "/no/such/program", NULL };
        pid_t pid = 12345;

        g_assert_cmpint(processes_start(&(struct program) { .argv = argv }, &pid), ==, -ENOENT);
        g_assert_cmpint(pid, ==, 12345);
        g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
}

static pid_t start_sleep(void) {
        const char *const argv[] = { "/bin/sleep", "1000", NULL };
        pid_t pid;

        g_assert_cmpint(processes_start(&(struct program) { .argv = argv }, &pid), ==, 0);
        return pid;
}

static void test_all_are_ended_but_the_spared(void) {
        pid_t spared = start_sleep(), other = start_sleep();

        processes_end(spared, 10);
        g_assert_cmpint(kill(other, 0), <, 0);
        g_assert_cmpint(kill(spared, 0), ==, 0);
        processes_end(0, 10);
        g_assert_cmpint(kill(spared, 0), <, 0);
        processes_end(0, 10);
}

static void test_a_spared_one_that_has_ended_hides_nobody(void) {
        gint64 begin = g_get_monotonic_time();
        pid_t spared = start_sleep(), other = start_sleep();
        siginfo_t info;

        g_assert_cmpint(kill(spared, SIGKILL), ==, 0);
        g_assert_cmpint(waitid(P_PID, spared, &info, WEXITED | WNOWAIT), ==, 0);
        processes_end(spared, 60);
        g_assert_cmpint(g_get_monotonic_time() - begin, <, 30 * G_USEC_PER_SEC);
        g_assert_cmpint(kill(other, 0), <, 0);
        processes_end(0, 10);
}

static void test_another_session_is_left_alone(void) {
        pid_t other = start_sleep(), guest;
        char text[64];

        run_shell("setsid sh -c 'echo $$ >&3; exec 3>&-; exec sleep 1000' &", (struct program) {}, text, sizeof text);
        guest = g_ascii_strtoll(text, NULL, 10);
        processes_end_session(10);
        g_assert_cmpint(kill(other, 0), <, 0);
        g_assert_cmpint(kill(guest, 0), ==, 0);
        processes_end(0, 10);
        g_assert_cmpint(kill(guest, 0), <, 0);
}

/* One that does not listen, and that has lost its parent. */
static void test_what_does_not_want_to_end_is_killed(void) {
        char text[64];
        pid_t orphan;

        run_shell("(trap '' TERM; exec 4>&3 3>&-; sh -c 'echo $$ >&4; exec 4>&-; while :; do sleep 1; done' &)", (struct program) {}, text,
                  sizeof text);
        orphan = g_ascii_strtoll(text, NULL, 10);
        g_assert_cmpint(kill(orphan, 0), ==, 0);
        processes_end(0, 1);
        g_assert_cmpint(kill(orphan, 0), <, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(processes_prepare(), ==, 0);
        g_test_add_func("/processes/what-a-program-finds", test_what_a_program_finds);
        g_test_add_func("/processes/signals-are-not-blocked", test_signals_are_not_blocked);
        g_test_add_func("/processes/a-program-that-is-not-there", test_a_program_that_is_not_there);
        g_test_add_func("/processes/all-are-ended-but-the-spared", test_all_are_ended_but_the_spared);
        g_test_add_func("/processes/a-spared-one-that-has-ended-hides-nobody", test_a_spared_one_that_has_ended_hides_nobody);
        g_test_add_func("/processes/another-session-is-left-alone", test_another_session_is_left_alone);
        g_test_add_func("/processes/what-does-not-want-to-end-is-killed", test_what_does_not_want_to_end_is_killed);
        return g_test_run();
}
