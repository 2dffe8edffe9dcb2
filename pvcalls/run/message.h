/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages in a program's memory, as sendmsg(2) and its relatives have them, write(2) among these: read once, and what they are to be given written back. Nothing of a
 * socket is in here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "target.h"

#define MESSAGES_MAX 1024u              /* of one sendmmsg or recvmmsg, as of the kernel's */

struct message {
        uint64_t at;                    /* where the program has its msghdr; 0: of sendto, write or recvfrom, which have none */
        uint64_t name_length_at;        /* recvfrom: where it has the length of the name */
        struct msghdr header;           /* its pointers are the program's. msg_iov: NULL, it is `only` */
        struct iovec only;
        size_t size;                    /* of all pieces, after message_pieces() */
};

/* The messages of such a call. Returns how many, or what the kernel says of one that cannot be. They are the caller's until the next call. */
int messages_read(const struct target *target, const struct seccomp_data *call, struct message **ret_messages);

/* How many bytes are to be sent. */
ssize_t message_measure(struct message *message, const struct target *target);

/* Copies all of what is to be sent. -EMSGSIZE: it is more than size. */
ssize_t message_gather(struct message *message, const struct target *target, void *data, size_t size);

/* Copies n bytes to where the program wants them, as far as there is room. Returns how many. */
ssize_t message_scatter(struct message *message, const struct target *target, const void *data, size_t n);

/*
 * Looks for a control message with at least so many bytes of data, and returns whether there is one, with the first n of them. Names that are not
 * looked for are ignored; -EINVAL, -ENOBUFS as the kernel says of a list that cannot be.
 */
int message_control(const struct message *message, const struct target *target, int level, int type, void *ret_data, size_t n);

/* What a received message is besides its bytes: its control messages, of which there is room for, and its flags. */
int message_finish(const struct message *message, const struct target *target, const void *control, size_t n_control, int flags);

/* Of sendmmsg and recvmmsg: how many bytes this one is. */
int message_set_length(const struct message *message, const struct target *target, size_t n);
