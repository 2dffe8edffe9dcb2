/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon: its socket, and its life. */

#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"

#define AUTO_CLOSE __attribute__((cleanup(close_fd)))
#define SOCKET 3
#define EXIT_NOT_STARTED 127

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

/* Bound in its directory under a name that is removed at once. Names of sockets are short, paths may not be: so it is bound from within. */
static int bind_unnamed(int fd, const char *name, int *ret_place) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int place;

        snprintf(address.sun_path, sizeof address.sun_path, "%.90s.in", name);
        unlink(address.sun_path);               /* of one that was killed in this moment */
        if (bind(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        place = open(address.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (unlink(address.sun_path) < 0 || place < 0 || listen(fd, 16) < 0) {
                int r = -errno;

                if (place >= 0)
                        close(place);
                return r;
        }
        *ret_place = place;
        return 0;
}

static int listen_beside(int beside, int *ret_place) {
        struct sockaddr_un address = {};
        socklen_t size = sizeof address - 1;    /* so that the path ends */
        AUTO_CLOSE int fd = -1, before = -1;
        int listening, r;
        char *name;

        if (getsockname(beside, (struct sockaddr *) &address, &size) < 0)
                return -errno;
        name = strrchr(address.sun_path, '/');
        if (address.sun_family != AF_UNIX || !name)
                return -EINVAL;
        *name++ = '\0';
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || before < 0 || chdir(*address.sun_path ? address.sun_path : "/") < 0)
                return -errno;
        r = bind_unnamed(fd, name, ret_place);
        if (fchdir(before) < 0 && r >= 0)
                r = -errno;
        if (r < 0)
                return r;
        listening = fd;
        fd = -1;
        return listening;
}

int daemon_connect(const struct daemon *daemon) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        if (fd < 0)
                return -errno;
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d", daemon->place_fd);
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata) {
        struct daemon *daemon = userdata;

        daemon->child = sd_event_source_disable_unref(daemon->child);
        daemon->pid = 0;
        daemon->ended(info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status, daemon->userdata);
        return 0;
}

static void become(int listen_fd, char *const argv[], pid_t parent) {
        sigset_t none;
        int r;

        sigemptyset(&none);
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent || dup2(listen_fd, SOCKET) < 0)
                return;
        signal(SIGPIPE, SIG_DFL);
        sigprocmask(SIG_SETMASK, &none, NULL);
        r = confine_daemon();
        if (r < 0) {
                fprintf(stderr, "xcp-vhost-relay: cannot give up for %s what is not needed: %s\n", argv[0], strerror(-r));
                return;
        }
        execvp(argv[0], argv);
        fprintf(stderr, "xcp-vhost-relay: cannot start %s: %s\n", argv[0], strerror(errno));
}

int daemon_start(struct daemon *daemon, int beside, char *const argv[]) {
        AUTO_CLOSE int listen_fd = -1;
        pid_t parent = getpid(), pid;
        int place = -1, r;

        listen_fd = listen_beside(beside, &place);
        if (listen_fd < 0)
                return listen_fd;
        if (daemon->place_fd >= 0)
                close(daemon->place_fd);
        daemon->place_fd = place;
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid == 0) {
                become(listen_fd, argv, parent);
                _exit(EXIT_NOT_STARTED);
        }
        daemon->pid = pid;
        r = sd_event_add_child(daemon->event, &daemon->child, pid, WEXITED, on_end, daemon);
        if (r < 0)
                daemon_kill(daemon);
        return r;
}

void daemon_kill(struct daemon *daemon) {
        if (daemon->pid == 0)
                return;
        daemon->child = sd_event_source_disable_unref(daemon->child);
        kill(daemon->pid, SIGKILL);
        while (waitpid(daemon->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        daemon->pid = 0;
}
