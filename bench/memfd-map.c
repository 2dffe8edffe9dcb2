/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * memfd-map: what the kernel has in place of grants, memory that another process passes as a descriptor.
 *
 *     memfd-map N CPU          rounds: ask a process on CPU for a memfd of N pages, map it, read from each page, unmap it
 *
 * Nobody is told of the unmapping: the process that gave the memory away does not know who still has it.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rounds.h"

#define PROGRAM "memfd-map"
#define PAGE_SIZE 4096

struct client {
        int socket;
        size_t n_pages;
};

/* One byte, and a descriptor if fd is not negative. */
static int packet_send(int socket, int fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct iovec byte = { .iov_base = (char[1]) { 0 }, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &byte, .msg_iovlen = 1 };

        if (fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
                message.msg_control = &control;
                message.msg_controllen = sizeof control;
        }
        return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Returns whether there was a packet, and the descriptor that was with it, or -1. */
static int packet_receive(int socket, int *ret_fd) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control;
        char byte;
        struct iovec bytes = { .iov_base = &byte, .iov_len = 1 };
        struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        ssize_t n = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);

        if (n <= 0)
                return n < 0 ? -errno : -EPIPE;
        *ret_fd = -1;
        if (CMSG_FIRSTHDR(&message))
                memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof *ret_fd);
        return 0;
}

static int map_once(const struct client *client) {
        volatile const char *pages;
        int fd, r;

        r = packet_send(client->socket, -1);
        if (r == 0)
                r = packet_receive(client->socket, &fd);
        if (r < 0)
                return r;

        pages = mmap(NULL, client->n_pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (pages == MAP_FAILED)
                return -errno;
        close(fd);
        for (size_t i = 0; i < client->n_pages; i++)
                (void) pages[i * PAGE_SIZE];
        return munmap((void *) pages, client->n_pages * PAGE_SIZE) < 0 ? -errno : 0;
}

static int client_map(void *userdata, uint64_t n) {
        int r = 0;

        for (; r == 0 && n > 0; n--)
                r = map_once(userdata);
        return r;
}

/* Gives n_pages away to whoever asks, until there is nobody left. */
static int give(int socket, size_t n_pages) {
        int memory = memfd_create(PROGRAM, MFD_CLOEXEC), fd, r;
        char *pages;

        if (memory < 0 || ftruncate(memory, n_pages * PAGE_SIZE) < 0)
                return rounds_fail(PROGRAM, "cannot make memory");
        pages = mmap(NULL, n_pages * PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
        if (pages == MAP_FAILED)
                return rounds_fail(PROGRAM, "cannot map memory");
        memset(pages, 1, n_pages * PAGE_SIZE);

        do {
                r = packet_receive(socket, &fd);
                if (r == 0)
                        r = packet_send(socket, memory);
        } while (r == 0);
        return 0;
}

int main(int argc, char **argv) {
        struct client client;
        int sockets[2];
        pid_t pid;

        if (argc != 3) {
                fprintf(stderr, "usage: memfd-map N CPU\n");
                return 2;
        }
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
                return rounds_fail(PROGRAM, "cannot make sockets");

        client = (struct client) { .socket = sockets[0], .n_pages = atoi(argv[1]) };
        pid = rounds_fork(atoi(argv[2]));
        if (pid < 0)
                return rounds_fail(PROGRAM, "cannot fork");
        close(sockets[pid != 0]);
        if (pid == 0)
                return give(sockets[1], client.n_pages);
        return rounds_serve(PROGRAM, client_map, &client);
}
