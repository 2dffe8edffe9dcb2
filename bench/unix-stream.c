/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * unix-stream: what the kernel has in place of vchan, a pair of AF_UNIX stream sockets between two processes.
 *
 *     unix-stream CPU          rounds: 64 KiB to a process on CPU
 */

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"
#include "stream.h"

#define PROGRAM "unix-stream"

static ssize_t socket_write(void *stream, const void *data, size_t n) {
        return write(*(int *) stream, data, n);
}

static ssize_t socket_read(void *stream, void *data, size_t n) {
        return read(*(int *) stream, data, n);
}

int main(int argc, char **argv) {
        struct stream stream = { .write = socket_write, .read = socket_read };
        int fds[2];
        pid_t pid;

        if (argc != 2) {
                fprintf(stderr, "usage: unix-stream CPU\n");
                return 2;
        }
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return rounds_fail(PROGRAM, "cannot make sockets");

        pid = rounds_fork(atoi(argv[1]));
        if (pid < 0)
                return rounds_fail(PROGRAM, "cannot fork");
        stream.stream = &fds[pid == 0];
        close(fds[pid != 0]);
        if (pid > 0)
                return rounds_serve(PROGRAM, stream_send_round, &stream);
        stream_receive_rounds(&stream);
        return 0;
}
