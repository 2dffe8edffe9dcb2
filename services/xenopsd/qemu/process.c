/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"

#define EXIT_NOT_STARTED 127
#define KILL_USEC UINT64_C(5000000)     /* for processes that were sent SIGKILL to be gone */

struct process {
        struct process_identity identity;
        int pidfd, gate;                /* gate: -1 after process_release() */
        bool is_child;
        sd_event_source *source;
        process_end_t end;
        void *userdata;
};

/* Who is who */

static int read_start(pid_t pid, uint64_t *ret_start) {
        char path[64], text[1024], *p;
        AUTO_CLOSE int fd = -1;
        ssize_t n;

        snprintf(path, sizeof path, "/proc/%d/stat", (int) pid);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        p = strrchr(text, ')');         /* the name before it may hold anything */
        for (int field = 2; p && field < 22; field++)
                p = strchr(p + 1, ' ');
        return p && sscanf(p, " %" SCNu64, ret_start) == 1 ? 0 : -ESRCH;
}

/* A pidfd of the very process: opened before it is looked at, so that it cannot become another's meanwhile. */
static int open_identity(const struct process_identity *identity) {
        uint64_t start;
        int fd, r;

        if (identity->pid <= 1)
                return -ESRCH;
        fd = pidfd_open(identity->pid, 0);
        if (fd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        r = read_start(identity->pid, &start);
        if (r >= 0 && start != identity->start)
                r = -ESRCH;
        if (r < 0) {
                close(fd);
                return r;
        }
        return fd;
}

struct process_identity process_identity(const struct process *process) {
        return process->identity;
}

/* The end */

static void describe(const struct process *process, char *text, size_t size) {
        siginfo_t info = {};

        if (!process->is_child || waitid(P_PIDFD, (id_t) process->pidfd, &info, WEXITED) < 0)
                snprintf(text, size, "ended while another manager than the one that had started it was there to see");
        else if (info.si_code == CLD_EXITED)
                snprintf(text, size, "ended with status %d", info.si_status);
        else
                snprintf(text, size, "was killed by signal %d (%s)", info.si_status, sigdescr_np(info.si_status) ?: "unknown");
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct process *process = userdata;
        char how[PROCESS_WORDS_MAX];

        process->source = sd_event_source_disable_unref(process->source);
        describe(process, how, sizeof how);
        process->is_child = false;
        process->end(process->userdata, how);
        return 0;
}

static int watch(struct process *process, sd_event *event) {
        int r;

        r = sd_event_add_io(event, &process->source, process->pidfd, EPOLLIN, on_end, process);
        return r < 0 ? r : sd_event_source_set_priority(process->source, SD_EVENT_PRIORITY_NORMAL + 1);
                /* after what it said on its monitor last */
}

struct process *process_free(struct process *process) {
        if (!process)
                return NULL;
        sd_event_source_disable_unref(process->source);
        if (process->gate >= 0) {       /* it waits, and will not be let in */
                close(process->gate);
                if (process->is_child && process->pidfd >= 0)
                        waitid(P_PIDFD, (id_t) process->pidfd, &(siginfo_t) {}, WEXITED);
        }
        if (process->pidfd >= 0)
                close(process->pidfd);
        free(process);
        return NULL;
}

void process_kill(struct process *process) {
        pidfd_send_signal(process->pidfd, SIGKILL, NULL, 0);    /* it fails only if the process is gone */
}

/* The beginning */

static _Noreturn void give_up(const char *program, const char *what) {
        dprintf(2, "%s: cannot %s: %s\n", program, what, strerrordesc_np(errno) ?: "unknown error");
        _exit(EXIT_NOT_STARTED);
}

/* Descriptors to give are among those that are overwritten: first they go where none of both is. */
static void arrange(const struct process_spec *spec, int gate) {
        const int above = 3 + (int) PROCESS_FDS_MAX + 1;
        int fds[PROCESS_FDS_MAX];

        for (size_t i = 0; i < spec->n_fds; i++)
                if ((fds[i] = fcntl(spec->fds[i], F_DUPFD_CLOEXEC, above)) < 0)
                        give_up(spec->program, "keep a descriptor");
        for (size_t i = 0; i < spec->n_fds; i++)
                if (dup2(fds[i], 3 + (int) i) < 0)
                        give_up(spec->program, "place a descriptor");
        close_range(3 + (unsigned) spec->n_fds, ~0u, 0);
}

static _Noreturn void run(const struct process_spec *spec, int gate) {
        char *const environment[] = { (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", (char *) "LC_ALL=C", NULL };
        int null = open("/dev/null", O_RDWR);
        sigset_t none;
        char go;

        /* Nothing of it is to be seen until it is known which it is. */
        if (read(gate, &go, 1) != 1)
                _exit(0);
        if (null < 0 || dup2(spec->log_fd, 1) < 0 || dup2(spec->log_fd, 2) < 0 || dup2(null, 0) < 0)
                _exit(EXIT_NOT_STARTED);
        if (setsid() < 0 || fchdir(spec->directory_fd) < 0)
                give_up(spec->program, "enter its directory");
        for (int i = 1; i < NSIG; i++)
                signal(i, SIG_DFL);
        signal(SIGXFSZ, SIG_IGN);       /* a disk that may not grow is an I/O error of the guest, not its end */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        arrange(spec, gate);
        execve(spec->program, spec->argv, environment);
        give_up(spec->program, "be executed");
}

static int fork_one(struct process *process, const struct process_spec *spec) {
        int gate[2], r;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, gate) < 0)
                return -errno;
        process->gate = gate[1];
        pid = fork();
        if (pid == 0) {
                close(gate[1]);
                run(spec, gate[0]);
        }
        r = pid < 0 ? -errno : 0;
        close(gate[0]);
        if (r < 0)
                return r;
        process->is_child = true;
        process->identity.pid = pid;
        process->pidfd = pidfd_open(pid, 0);
        if (process->pidfd < 0) {
                r = -errno;
                close(process->gate);
                process->gate = -1;
                waitpid(pid, NULL, 0);
                return r;
        }
        return read_start(pid, &process->identity.start);
}

int process_start(struct process **ret_process, sd_event *event, const struct process_spec *spec, process_end_t end, void *userdata) {
        struct process *process = malloc(sizeof *process);
        int r;

        if (!process)
                return -ENOMEM;
        *process = (struct process) { .pidfd = -1, .gate = -1, .end = end, .userdata = userdata };
        r = spec->n_fds > PROCESS_FDS_MAX ? -EMFILE : fork_one(process, spec);
        if (r >= 0)
                r = watch(process, event);
        if (r < 0) {
                process_free(process);
                return r;
        }
        *ret_process = process;
        return 0;
}

int process_release(struct process *process) {
        int r;

        r = send(process->gate, "g", 1, MSG_NOSIGNAL) == 1 ? 0 : -errno;
        close(process->gate);
        process->gate = -1;
        return r;
}

int process_adopt(struct process **ret_process, sd_event *event, const struct process_identity *identity, process_end_t end,
                  void *userdata) {
        struct process *process = malloc(sizeof *process);
        int r;

        if (!process)
                return -ENOMEM;
        *process = (struct process) { .identity = *identity, .pidfd = -1, .gate = -1, .end = end, .userdata = userdata };
        r = process->pidfd = open_identity(identity);
        if (r >= 0)
                r = watch(process, event);
        if (r < 0) {
                process_free(process);
                return r;
        }
        *ret_process = process;
        return 0;
}

uint64_t process_patience(uint64_t *until_usec, uint64_t now_usec) {
        if (*until_usec == 0 || now_usec >= *until_usec + KILL_USEC)
                *until_usec = now_usec + KILL_USEC;
        return now_usec < *until_usec ? (*until_usec - now_usec + 999) / 1000 : 0;
}

int process_kill_identity(const struct process_identity *identity, uint64_t wait_ms) {
        AUTO_CLOSE int fd = open_identity(identity);

        if (fd < 0)
                return fd == -ESRCH ? 0 : fd;
        if (pidfd_send_signal(fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
                return -errno;
        return poll(&(struct pollfd) { .fd = fd, .events = POLLIN }, 1, (int) wait_ms) == 1 ? 0 : -ETIMEDOUT;
}
