/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Transfers: calls of recvmsg(2) and sendmsg(2) that do not wait, one at a time, or many by one system call of io_uring.
 *
 * The ring can do nothing else: before it is enabled it is restricted to these two operations, without flags, and to no registrations. So it
 * reaches nothing that the two calls do not. What is started is finished when transfers_run() returns; nothing of it is left in the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define TRANSFERS_MAX 64u               /* at once: two for each of as many sockets as a round of the loop finds */

struct transfer {
        int fd;                         /* non-blocking */
        bool send;
        struct iovec pieces[2];
        int n_pieces;
        size_t n;                       /* bytes in them */
        ssize_t result;                 /* bytes, or a negative errno */
        struct msghdr message;          /* the kernel's, while it runs */
};

/* One, by a call. */
void transfer_run(struct transfer *transfer);

struct transfers;

/* A ring. -ENOSYS and others: the kernel has none, or does not let us have one. It is to be made before the system calls are filtered. */
int transfers_new(struct transfers **ret_transfers);
struct transfers *transfers_free(struct transfers *transfers);

/* n of them, at most TRANSFERS_MAX. */
void transfers_run(struct transfers *transfers, struct transfer *list, size_t n);
