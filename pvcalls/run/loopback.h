/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The loopback between a program's socket and us: real TCP connections within the domain, and those of UNIX sockets with abstract names.
 *
 * A connect that the program does not wait for has to look like one: not writable before it is done. Its socket is connected to us at once, and
 * filled with junk that we do not read; when the connection has come about we read the junk, which makes the socket writable, and throw it
 * away. If it fails, the connection is reset, which makes the socket what a refused one is to poll(2).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define LOOPBACK_PORTS (2u * 65536u)    /* TCP's, and behind them those that our ends of UNIX sockets have by their names */

/* Listeners that no other machine reaches, of TCP and UNIX sockets, and the next name for an end of a UNIX socket. */
struct loopback {
        int tcp, local;
        uint16_t next;
};

int loopback_open(struct loopback *ret_loopback);

/*
 * Connects a program's socket, of which fd is a descriptor of ours, to us. With filled, fills it with junk. Returns our end, how many bytes of
 * junk it will get, and whether loopback_unlock() is due before they are read, so that the socket gets a buffer of normal size.
 */
int loopback_plug(const struct loopback *loopback, int fd, int family, bool filled, size_t *ret_junk, bool *ret_locked);
void loopback_unlock(int fd);

/* Before the junk is read: our end gets room again, and with it the other can write. */
void loopback_open_up(int own);

/*
 * The same with a UDP socket, and nothing in it. Returns our end, which gets what that socket sends, and nothing of others. Not connected, the
 * program's is only bound, and what it gets has a number for where it is from.
 */
int loopback_join(int fd, int family, bool connected);
void loopback_send(int own, const void *data, size_t size, uint32_t number);

/* recvmsg(2) of what loopback_send() has sent from our end (own), without the message's name. -EPERM: it was somebody else who has. */
ssize_t loopback_receive(int fd, int own, struct msghdr *message, int flags, uint32_t *ret_number);

/* Makes a program's socket a listener on the loopback. Returns its port; of a UNIX socket, the number that is its name. */
int loopback_listen(int fd, int family, int backlog);

/* Connects to such a listener. Returns our end, and its port. */
int loopback_dial(struct loopback *loopback, int family, uint32_t port, uint32_t *ret_own_port);

/* The port at the other end. Of a UNIX socket that is not connected to us: -EPERM. */
int loopback_peer_port(int fd);

/* Closes our end so that the other sees a reset. */
void loopback_reset(int fd);
