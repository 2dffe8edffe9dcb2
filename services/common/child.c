/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "utf8.h"

#define READS_MAX 16u                   /* of one wake-up, so that a child that never stops talking is not all there is */
#define EXIT_NOT_STARTED 127

struct pipe_end {
        int fd;
        sd_event_source *source;
};

struct child {
        sd_event *event;
        const struct child_listener *listener;
        void *userdata;
        pid_t pid;
        int pidfd;
        sd_event_source *exit_source, *deadline;
        struct pipe_end out, err;
        char line[CHILD_LINE_MAX];
        size_t n_line;
        char words[CHILD_WORDS_MAX];    /* the end of what it said, not terminated */
        size_t n_words;
        bool reaped, killed, timed_out;
};

/* Output */

static void tell_line(struct child *child) {
        child->line[child->n_line] = '\0';
        if (child->n_line > 0 && child->listener->line)
                child->listener->line(child->line, child->userdata);
        child->n_line = 0;
}

static void take_output(struct child *child, const char *data, size_t n) {
        for (size_t i = 0; i < n; i++) {
                if (data[i] == '\n' || data[i] == '\r')
                        tell_line(child);
                else
                        child->line[child->n_line++] = data[i];
                if (child->n_line == sizeof child->line - 1)
                        tell_line(child);
        }
}

static void take_words(struct child *child, const char *data, size_t n) {
        if (n > sizeof child->words) {
                data += n - sizeof child->words;
                n = sizeof child->words;
        }
        if (child->n_words + n > sizeof child->words) {
                size_t n_old = sizeof child->words - n;

                memmove(child->words, child->words + child->n_words - n_old, n_old);
                child->n_words = n_old;
        }
        memcpy(child->words + child->n_words, data, n);
        child->n_words += n;
}

/* Returns 1 if there may be more, 0 at the end or when nothing is there now. */
static int read_some(struct child *child, struct pipe_end *end) {
        char data[4096];
        ssize_t n;

        n = read(end->fd, data, sizeof data);
        if (n > 0 && end == &child->out)
                take_output(child, data, (size_t) n);
        else if (n > 0)
                take_words(child, data, (size_t) n);
        if (n > 0 || (n < 0 && errno == EINTR))
                return 1;
        if (n == 0 || errno != EAGAIN)
                end->source = sd_event_source_disable_unref(end->source);
        return 0;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct child *child = userdata;
        struct pipe_end *end = fd == child->out.fd ? &child->out : &child->err;

        for (unsigned i = 0; i < READS_MAX && end->source; i++)
                if (read_some(child, end) == 0)
                        break;
        return 0;
}

/* The end */

static char *one_line(const struct child *child) {
        char raw[CHILD_WORDS_MAX + 1];
        size_t n = child->n_words;

        memcpy(raw, child->words, n);
        while (n > 0 && (raw[n - 1] == '\n' || raw[n - 1] == ' '))
                n--;
        raw[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) raw[i] < ' ')
                        raw[i] = ' ';
        return idl_utf8_copy(raw, CHILD_WORDS_MAX);
}

/* The process is gone; what it wrote before is still in the pipes, and what its own children may write later is nobody's business. */
static int on_process_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct child *child = userdata;
        AUTO_FREE char *words = NULL;
        struct child_end end;
        int status = 0;

        if (waitpid(child->pid, &status, 0) < 0)
                return -errno;
        child->reaped = true;
        child->exit_source = sd_event_source_disable_unref(child->exit_source);
        child->deadline = sd_event_source_disable_unref(child->deadline);
        while (child->out.source && read_some(child, &child->out) > 0)
                ;
        while (child->err.source && read_some(child, &child->err) > 0)
                ;
        child->out.source = sd_event_source_disable_unref(child->out.source);
        child->err.source = sd_event_source_disable_unref(child->err.source);
        tell_line(child);

        words = one_line(child);
        end = (struct child_end) { status, child->killed, child->timed_out, words ?: "" };
        child->listener->end(&end, child->userdata);
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        struct child *child = userdata;

        child->timed_out = true;
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        return 0;
}

void child_kill(struct child *child) {
        if (child->reaped)
                return;
        child->killed = true;
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

void child_end_describe(const struct child_end *end, char *text, size_t n) {
        if (end->timed_out)
                snprintf(text, n, "did not end in time%s%s", *end->last_words ? ": " : "", end->last_words);
        else if (WIFSIGNALED(end->status))
                snprintf(text, n, "was killed by signal %d%s%s", WTERMSIG(end->status), *end->last_words ? ": " : "", end->last_words);
        else
                snprintf(text, n, "ended with status %d%s%s", WEXITSTATUS(end->status), *end->last_words ? ": " : "", end->last_words);
}

/* The beginning */

static const char *const clean_environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL=C.UTF-8",
        NULL,
};

static int find_program(const char *name, char **ret_path) {
        static const char *const directories[] = { "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin" };

        if (strchr(name, '/')) {
                *ret_path = strdup(name);
                return *ret_path ? 0 : -ENOMEM;
        }
        for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
                AUTO_FREE char *path = NULL;

                if (asprintf(&path, "%s/%s", directories[i], name) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                if (access(path, X_OK) == 0) {
                        *ret_path = path;
                        path = NULL;
                        return 0;
                }
        }
        return -ENOENT;
}

static int set_limit(int resource, uint64_t value) {
        const struct rlimit limit = { value, value };

        return value > 0 ? setrlimit(resource, &limit) : 0;
}

/*
 * The child, between vfork() and execve(): it shares the parent's memory, so it calls the system and nothing else. sources are
 * descriptors above all those that it makes. Returns only if it could not be started.
 */
static int become(const char *path, const struct child_spec *spec, const int *sources, int null, pid_t parent) {
        sigset_t none;

        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return errno;
        if (getppid() != parent)        /* it ended before it could be said */
                return ESRCH;
        if (dup2(null, STDIN_FILENO) < 0)
                return errno;
        for (size_t i = 0; i < spec->n_fds + 2; i++)
                if (dup2(sources[i], (int) i + 1) < 0)
                        return errno;
        if (close_range((unsigned) spec->n_fds + 3, ~0u, 0) < 0)
                return errno;
        if (set_limit(RLIMIT_AS, spec->memory_max) < 0 || set_limit(RLIMIT_CPU, spec->cpu_max_sec) < 0)
                return errno;
        signal(SIGPIPE, SIG_DFL);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(path, (char **) (uintptr_t) spec->argv, (char **) (uintptr_t) clean_environment);
        return errno;
}

__attribute__((noinline)) static int spawn(const char *path, const struct child_spec *spec, const int *sources, int null, pid_t *ret_pid) {
        volatile int failure = 0;
        pid_t parent = getpid(), pid;

        pid = vfork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                failure = become(path, spec, sources, null, parent);
                _exit(EXIT_NOT_STARTED);
        }
        if (failure != 0) {
                waitpid(pid, NULL, 0);
                return -failure;
        }
        *ret_pid = pid;
        return 0;
}

/* Copies descriptors to where none of the child's own will be: out, err, and what it is given. */
static int place(const struct child_spec *spec, int out, int err, int *ret_sources) {
        int lowest = (int) spec->n_fds + 3;

        for (size_t i = 0; i < spec->n_fds + 2; i++) {
                int fd = i == 0 ? out : i == 1 ? err : spec->fds[i - 2];

                ret_sources[i] = fcntl(fd, F_DUPFD_CLOEXEC, lowest);
                if (ret_sources[i] < 0)
                        return -errno;
        }
        return 0;
}

static int spawn_with_pipes(struct child *child, const char *path, const struct child_spec *spec, int out, int err) {
        int sources[CHILD_FDS_MAX + 2], null, r;

        for (size_t i = 0; i < CHILD_FDS_MAX + 2; i++)
                sources[i] = -1;
        null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (null < 0)
                return -errno;
        r = place(spec, out, err, sources);
        if (r >= 0)
                r = spawn(path, spec, sources, null, &child->pid);
        close(null);
        for (size_t i = 0; i < CHILD_FDS_MAX + 2; i++)
                if (sources[i] >= 0)
                        close(sources[i]);
        return r;
}

static int make_pipe(struct pipe_end *ret_ours, int *ret_theirs) {
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        ret_ours->fd = fds[0];
        *ret_theirs = fds[1];
        return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

static int start_process(struct child *child, const struct child_spec *spec) {
        AUTO_CLOSE int out = -1, err = -1;
        AUTO_FREE char *path = NULL;
        int r;

        r = find_program(spec->argv[0], &path);
        if (r < 0)
                return r;
        r = make_pipe(&child->out, &out);
        if (r < 0)
                return r;
        r = make_pipe(&child->err, &err);
        if (r < 0)
                return r;
        r = spawn_with_pipes(child, path, spec, out, err);
        if (r < 0)
                return r;
        child->reaped = false;
        child->pidfd = pidfd_open(child->pid, 0);
        return child->pidfd < 0 ? -errno : 0;
}

static int watch(struct child *child, uint64_t deadline_usec) {
        int r;

        r = sd_event_add_io(child->event, &child->exit_source, child->pidfd, EPOLLIN, on_process_end, child);
        if (r < 0)
                return r;
        r = sd_event_add_io(child->event, &child->out.source, child->out.fd, EPOLLIN, on_output, child);
        if (r < 0)
                return r;
        r = sd_event_add_io(child->event, &child->err.source, child->err.fd, EPOLLIN, on_output, child);
        if (r < 0 || deadline_usec == 0)
                return r;
        return sd_event_add_time_relative(child->event, &child->deadline, CLOCK_MONOTONIC, deadline_usec, 0, on_deadline, child);
}

int child_start(struct child **ret_child, sd_event *event, const struct child_spec *spec, const struct child_listener *listener,
                void *userdata) {
        AUTO(child_freep) struct child *child = NULL;
        int r;

        if (spec->n_fds > CHILD_FDS_MAX)
                return -E2BIG;
        child = malloc(sizeof *child);
        if (!child)
                return -ENOMEM;
        child->event = sd_event_ref(event);
        child->listener = listener;
        child->userdata = userdata;
        child->pid = 0;
        child->pidfd = child->out.fd = child->err.fd = -1;
        child->exit_source = child->deadline = child->out.source = child->err.source = NULL;
        child->n_line = child->n_words = 0;
        child->reaped = true;           /* there is none yet */
        child->killed = child->timed_out = false;

        r = start_process(child, spec);
        if (r < 0)
                return r;
        r = watch(child, spec->deadline_usec);
        if (r < 0)
                return r;
        *ret_child = child;
        child = NULL;
        return 0;
}

void child_release(struct child *child) {
        child->reaped = true;           /* by somebody else: whoever inherits it */
        child_free(child);
}

struct child *child_free(struct child *child) {
        if (!child)
                return NULL;
        sd_event_source_disable_unref(child->exit_source);
        sd_event_source_disable_unref(child->deadline);
        sd_event_source_disable_unref(child->out.source);
        sd_event_source_disable_unref(child->err.source);
        if (!child->reaped) {
                kill(child->pid, SIGKILL);      /* not reaped, so the number is still its own */
                waitpid(child->pid, NULL, 0);
        }
        if (child->pidfd >= 0)
                close(child->pidfd);
        if (child->out.fd >= 0)
                close(child->out.fd);
        if (child->err.fd >= 0)
                close(child->err.fd);
        sd_event_unref(child->event);
        free(child);
        return NULL;
}

pid_t child_pid(const struct child *child) {
        return child->pid;
}
