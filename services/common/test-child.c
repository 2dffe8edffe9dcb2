/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Children: what they are given, what they say, and each way in which they end. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"

struct fixture {
        sd_event *event;
        struct child *child;
        GPtrArray *lines;
        struct child_end end;
        char words[CHILD_WORDS_MAX * 3];
        bool ended;
};

static void on_line(const char *line, void *userdata) {
        struct fixture *f = userdata;

        g_ptr_array_add(f->lines, g_strdup(line));
}

static void on_end(const struct child_end *end, void *userdata) {
        struct fixture *f = userdata;

        g_assert_false(f->ended);
        f->ended = true;
        f->end = *end;
        g_strlcpy(f->words, end->last_words, sizeof f->words);
        f->end.last_words = f->words;   /* theirs ends with the child */
        f->child = child_free(f->child);
        sd_event_exit(f->event, 0);
}

static const struct child_listener listener = { on_line, on_end };

static void set_up(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
        f->lines = g_ptr_array_new_with_free_func(g_free);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        child_free(f->child);
        g_ptr_array_free(f->lines, TRUE);
        sd_event_unref(f->event);
}

static void start(struct fixture *f, const struct child_spec *spec) {
        g_assert_cmpint(child_start(&f->child, f->event, spec, &listener, f), ==, 0);
}

static void run_shell(struct fixture *f, const char *script) {
        start(f, &(struct child_spec) { .argv = (const char *const[]) { "sh", "-c", script, NULL } });
        g_assert_cmpint(sd_event_loop(f->event), ==, 0);
        g_assert_true(f->ended);
}

static const char *line(const struct fixture *f, size_t i) {
        g_assert_cmpuint(i, <, f->lines->len);
        return f->lines->pdata[i];
}

static void test_lines_and_last_words(struct fixture *f, gconstpointer data) {
        run_shell(f, "printf 'one\\ntwo\\rthree'; printf 'went\\nwrong\\n' >&2; exit 3");
        g_assert_cmpuint(f->lines->len, ==, 3);
        g_assert_cmpstr(line(f, 0), ==, "one");
        g_assert_cmpstr(line(f, 1), ==, "two");
        g_assert_cmpstr(line(f, 2), ==, "three");
        g_assert_cmpstr(f->words, ==, "went wrong");
        g_assert_cmpint(WEXITSTATUS(f->end.status), ==, 3);
        g_assert_false(child_end_good(&f->end));
}

static void test_much_output(struct fixture *f, gconstpointer data) {
        run_shell(f, "seq 100000; seq 100000 >&2; echo last >&2");
        g_assert_cmpuint(f->lines->len, ==, 100000);
        g_assert_cmpstr(line(f, 99999), ==, "100000");
        g_assert_true(g_str_has_suffix(f->words, "100000 last"));
        g_assert_cmpuint(strlen(f->words), <=, CHILD_WORDS_MAX);
        g_assert_true(child_end_good(&f->end));
}

static void test_long_line_comes_in_pieces(struct fixture *f, gconstpointer data) {
        run_shell(f, "head -c 20000 /dev/zero | tr '\\0' x");
        g_assert_cmpuint(f->lines->len, ==, 3);
        g_assert_cmpuint(strlen(line(f, 0)), ==, CHILD_LINE_MAX - 1);
}

static void test_words_that_are_not_utf8(struct fixture *f, gconstpointer data) {
        run_shell(f, "printf 'a\\377\\001b' >&2");
        g_assert_true(g_utf8_validate(f->words, -1, NULL));
        g_assert_cmpstr(f->words, ==, "a? b");
}

static void test_surroundings_are_clean(struct fixture *f, gconstpointer data) {
        g_setenv("SECRET", "x", TRUE);
        signal(SIGPIPE, SIG_IGN);
        run_shell(f, "env | grep -v '^_=\\|^PWD=\\|^SHLVL=\\|^OLDPWD=' | sort; ls /proc/self/fd | tr '\\n' ' '; echo; grep SigIgn "
                     "/proc/self/status");
        g_assert_cmpstr(line(f, 0), ==, "LC_ALL=C.UTF-8");
        g_assert_true(g_str_has_prefix(line(f, 1), "PATH="));
        g_assert_cmpstr(line(f, 2), ==, "0 1 2 3 ");    /* 3: ls reads the directory */
        g_assert_true(g_str_has_suffix(line(f, 3), "0000000000000000"));
}

static void test_descriptors_are_passed_in_order(struct fixture *f, gconstpointer data) {
        int a[2], b[2];

        g_assert_cmpint(pipe(a), ==, 0);
        g_assert_cmpint(pipe(b), ==, 0);
        g_assert_cmpint(write(a[1], "first\n", 6), ==, 6);
        g_assert_cmpint(write(b[1], "second\n", 7), ==, 7);
        start(f, &(struct child_spec) {
                .argv = (const char *const[]) { "sh", "-c", "read x <&3; read y <&4; echo $x $y", NULL },
                .fds = (const int[]) { b[0], a[0] },
                .n_fds = 2,
        });
        g_assert_cmpint(sd_event_loop(f->event), ==, 0);
        g_assert_cmpstr(line(f, 0), ==, "second first");
        close(a[0]), close(a[1]), close(b[0]), close(b[1]);
}

static void test_kill(struct fixture *f, gconstpointer data) {
        char text[256];

        start(f, &(struct child_spec) { .argv = (const char *const[]) { "sleep", "1000", NULL } });
        child_kill(f->child);
        g_assert_false(f->ended);
        g_assert_cmpint(sd_event_loop(f->event), ==, 0);
        g_assert_true(f->end.killed);
        g_assert_false(child_end_good(&f->end));
        child_end_describe(&f->end, text, sizeof text);
        g_assert_cmpstr(text, ==, "was killed by signal 9");
}

static void test_deadline(struct fixture *f, gconstpointer data) {
        start(f, &(struct child_spec) { .argv = (const char *const[]) { "sleep", "1000", NULL }, .deadline_usec = 20000 });
        g_assert_cmpint(sd_event_loop(f->event), ==, 0);
        g_assert_true(f->end.timed_out);
        g_assert_false(child_end_good(&f->end));
}

static void test_limits(struct fixture *f, gconstpointer data) {
        start(f, &(struct child_spec) {
                .argv = (const char *const[]) { "sh", "-c", "ulimit -v; ulimit -t", NULL },
                .memory_max = UINT64_C(1) << 30,
                .cpu_max_sec = 7,
        });
        g_assert_cmpint(sd_event_loop(f->event), ==, 0);
        g_assert_cmpstr(line(f, 0), ==, "1048576");
        g_assert_cmpstr(line(f, 1), ==, "7");
}

static void test_grandchild_with_the_pipe_does_not_keep_it(struct fixture *f, gconstpointer data) {
        run_shell(f, "sleep 5 & echo $!");
        g_assert_cmpuint(f->lines->len, ==, 1);
        kill((pid_t) g_ascii_strtoll(line(f, 0), NULL, 10), SIGKILL);
}

static void test_freed_child_is_killed(struct fixture *f, gconstpointer data) {
        pid_t pid;

        start(f, &(struct child_spec) { .argv = (const char *const[]) { "sleep", "1000", NULL } });
        pid = child_pid(f->child);
        f->child = child_free(f->child);
        g_assert_cmpint(kill(pid, 0), ==, -1);
        g_assert_cmpint(errno, ==, ESRCH);
        g_assert_false(f->ended);
}

static void test_program_that_is_not_there(struct fixture *f, gconstpointer data) {
        const struct child_spec spec = { .argv = (const char *const[]) { "no-such-program-anywhere", NULL } };
        const struct child_spec with_path = { .argv = (const char *const[]) { "/nowhere/program", NULL } };

        g_assert_cmpint(child_start(&f->child, f->event, &spec, &listener, f), ==, -ENOENT);
        g_assert_cmpint(child_start(&f->child, f->event, &with_path, &listener, f), ==, -ENOENT);
        g_assert_null(f->child);
}

/* The service is killed: what it had started goes as well. */
static void test_it_ends_with_its_service(struct fixture *f, gconstpointer data) {
        int fds[2];
        pid_t service;
        char byte;

        g_assert_cmpint(pipe(fds), ==, 0);
        service = fork();
        if (service == 0) {
                g_assert_cmpint(sd_event_new(&f->event), ==, 0);        /* a loop belongs to its process */
                start(f, &(struct child_spec) { .argv = (const char *const[]) { "sleep", "1000", NULL }, .fds = &fds[1], .n_fds = 1 });
                g_assert_cmpint(write(fds[1], "", 1), ==, 1);
                kill(getpid(), SIGKILL);
        }
        close(fds[1]);
        g_assert_cmpint(waitpid(service, NULL, 0), ==, service);
        g_assert_cmpint(read(fds[0], &byte, 1), ==, 1); /* it was started */
        g_assert_cmpint(read(fds[0], &byte, 1), ==, 0); /* the child had the other end; the test's timeout is the deadline */
        close(fds[0]);
}

/* What is ignored here, as below nohup(1) or a shell's `&`, a child would ignore as well. */
static void heed_signals(void) {
        static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT };

        for (size_t i = 0; i < G_N_ELEMENTS(ignored); i++)
                signal(ignored[i], SIG_DFL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        heed_signals();
#define ADD(name, function) g_test_add("/child/" name, struct fixture, NULL, set_up, function, tear_down)
        ADD("lines-and-last-words", test_lines_and_last_words);
        ADD("much-output", test_much_output);
        ADD("long-line-comes-in-pieces", test_long_line_comes_in_pieces);
        ADD("words-that-are-not-utf8", test_words_that_are_not_utf8);
        ADD("surroundings-are-clean", test_surroundings_are_clean);
        ADD("descriptors-are-passed-in-order", test_descriptors_are_passed_in_order);
        ADD("kill", test_kill);
        ADD("deadline", test_deadline);
        ADD("limits", test_limits);
        ADD("grandchild-with-the-pipe-does-not-keep-it", test_grandchild_with_the_pipe_does_not_keep_it);
        ADD("freed-child-is-killed", test_freed_child_is_killed);
        ADD("program-that-is-not-there", test_program_that_is_not_there);
        ADD("it-ends-with-its-service", test_it_ends_with_its_service);
        return g_test_run();
}
