/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * xcp-vhost-relay DAEMON [ARGUMENT...] [-- UNDERSTUDY [ARGUMENT...]]: a qemu-storage-daemon with a vhost-user-blk export (relay.h). For the storage service, which gives
 * it these descriptors:
 *
 *         3       the listening socket, which has a path; the daemon's 3 is another
 *         4       the daemon's monitor, a socket. With an understudy, it is the relay's until a line "begin" has come, and with it, maybe, 6
 *         6       what has the lock of the disk, which the daemon keeps open
 *
 * A signal SIGRTMIN with a value, as sigqueue(3) sends it, says that the disk has become larger, and how many sectors it has.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "confine.h"
#include "relay.h"

enum { LISTEN = 3, CONTROL = 4, LOCK = 6, OWN_MIN = 16 };

struct program {
        struct relay relay;
        char line[8];
        size_t n;
};

/* The descriptor that came with a byte, if there is one, is put where the daemon has it. */
static void take_lock(struct msghdr *message) {
        const struct cmsghdr *header = CMSG_FIRSTHDR(message);
        int fd;

        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fd))
                return;
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
        dup2(fd, LOCK);
        close(fd);
}

/* A byte at a time: what follows the line is the daemon's. 1: it is there. */
static int read_line(struct program *program) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { program->line + program->n, 1 };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room };
        ssize_t n = recvmsg(CONTROL, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (n == 0)
                return -ECONNRESET;
        take_lock(&message);
        if (program->line[program->n] == '\n')
                return strncmp(program->line, "begin", program->n) == 0 && program->n == strlen("begin") ? 1 : -EBADMSG;
        return ++program->n < sizeof program->line ? 0 : -EBADMSG;
}

static int on_control(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct program *program = userdata;
        int r = read_line(program);

        if (r == 0)
                return 0;
        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (r > 0)
                r = relay_begin(&program->relay);
        if (r >= 0)
                r = confine_relay(program->relay.daemon.pid);
        if (r < 0) {
                fprintf(stderr, "xcp-vhost-relay: cannot begin: %s\n", strerror(-r));
                sd_event_exit(program->relay.event, EXIT_FAILURE);
        }
        return 0;
}

static int on_term(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        struct program *program = userdata;

        relay_end(&program->relay);
        return 0;
}

/* From who may end this process as well. */
static int on_resized(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        struct program *program = userdata;

        if (info->ssi_code == SI_QUEUE && info->ssi_ptr != 0)
                relay_resized(&program->relay, info->ssi_ptr);
        return 0;
}

static int add_signals(struct program *program, sd_event *event) {
        sigset_t signals;
        int r;

        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGCHLD);
        sigaddset(&signals, SIGRTMIN);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        signal(SIGPIPE, SIG_IGN);
        r = sd_event_add_signal(event, NULL, SIGTERM, on_term, program);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_term, program);
        return r < 0 ? r : sd_event_add_signal(event, NULL, SIGRTMIN, on_resized, program);
}

/* Moves it to where no descriptor of the daemon's will be, and sees to it that no other of this program's will be one either. */
static int take_socket(void) {
        int fd = fcntl(LISTEN, F_DUPFD_CLOEXEC, OWN_MIN), null;

        if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        do
                null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        while (null >= 0 && null < LOCK);
        if (null < 0)
                return -errno;
        if (null > LOCK)
                close(null);
        return fd;
}

static bool has_socket(void) {
        int listens = 0;
        socklen_t n = sizeof listens;

        return getsockopt(LISTEN, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens;
}

static int run(struct program *program, char **argv, char **understudy) {
        sd_event *event = NULL;
        int fd = take_socket(), r;

        r = fd < 0 ? fd : sd_event_new(&event);
        if (r >= 0)
                r = add_signals(program, event);
        if (r >= 0)
                r = relay_start(&program->relay, event, fd, argv, understudy);
        if (r >= 0 && understudy)
                r = sd_event_add_io(event, NULL, CONTROL, EPOLLIN, on_control, program);
        else if (r >= 0)
                r = confine_relay(program->relay.daemon.pid);
        if (r < 0) {
                fprintf(stderr, "xcp-vhost-relay: cannot serve: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        r = sd_event_loop(event);
        relay_done(&program->relay);
        sd_event_unref(event);
        close(fd);
        return r;
}

int main(int argc, char **argv) {
        struct program program = {};
        char **understudy = NULL;

        for (int i = 1; i < argc && !understudy; i++)
                if (strcmp(argv[i], "--") == 0 && i + 1 < argc) {
                        argv[i] = NULL;
                        understudy = argv + i + 1;
                }
        if (argc < 2 || !argv[1]) {
                fputs("xcp-vhost-relay: a program of the storage service's: DAEMON [ARGUMENT...] [-- UNDERSTUDY [ARGUMENT...]]\n", stderr);
                return 2;
        }
        if (!has_socket()) {
                fprintf(stderr, "xcp-vhost-relay: descriptor %d is no listening socket: this is a program that the storage service starts\n", LISTEN);
                return 2;
        }
        return run(&program, argv + 1, understudy);
}
