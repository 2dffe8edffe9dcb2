/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The loopback between a program's socket and us: real TCP connections within the domain.
 *
 * A connect that the program does not wait for has to look like one: not writable before it is done. Its socket is connected to us at once, and
 * filled with junk that we do not read; when the connection has come about we read the junk, which makes the socket writable, and throw it
 * away. If it fails, the connection is reset, which makes the socket what a refused one is to poll(2).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A listener that no other machine reaches. */
int loopback_open(void);

/*
 * Connects a program's socket, of which fd is a descriptor of ours, to us. With filled, fills it with junk. Returns our end, how many bytes of
 * junk it will get, and whether loopback_unlock() is due before they are read, so that the socket gets a buffer of normal size.
 */
int loopback_plug(int loopback, int fd, bool v6, bool filled, size_t *ret_junk, bool *ret_locked);
void loopback_unlock(int fd);

/* Before the junk is read: our end gets room again, and with it the other can write. */
void loopback_open_up(int own);

/* The same with a UDP socket, and nothing in it. Returns our end, which gets what that socket sends, and nothing of others. */
int loopback_join(int fd, bool v6);

/* Makes a program's socket a listener on the loopback. Returns its port. */
int loopback_listen(int fd, bool v6, int backlog);

/* Connects to such a listener. Returns our end, and its port. */
int loopback_dial(uint16_t port, uint16_t *ret_own_port);

/* The port at the other end, and at this. */
int loopback_peer_port(int fd);
int loopback_own_port(int fd);

/* Closes our end so that the other sees a reset. */
void loopback_reset(int fd);
