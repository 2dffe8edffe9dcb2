/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a handle of each drop-in library is made of: its connection to xenemud, a logger, and its place in libxentoolcore's list.
 *
 * The daemon's socket is the one that XENEMU_SOCKET names, which decides the domain this process belongs to. Without the variable
 * there is no Xen here: opening fails with ENOENT, as it does on a Linux without /dev/xen.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xentoollog.h>

#include "protocol.h"
#include "toolcore.h"

struct connection {
        struct toolcore_handle toolcore;        /* first, so that a pointer to it is one to the connection */
        const char *name;                       /* the library's, in messages */
        xentoollog_logger *logger;
        xentoollog_logger *own_logger;          /* to destroy; NULL if the caller brought one */
        pthread_mutex_t lock;                   /* one call at a time: replies come in the order of the requests */
        int fd;                                 /* -1 until connected */
};

/*
 * Makes a connection that leads nowhere yet and registers it. name is not copied; logger may be NULL, then errors go to stderr.
 * If restrict_handle is NULL, xentoolcore_restrict_all() makes the handle useless. Returns 0 or a negative errno.
 */
int connection_init(struct connection *connection, const char *name, xentoollog_logger *logger,
                    int (*restrict_handle)(struct toolcore_handle *handle, domid_t domid));
void connection_deinit(struct connection *connection);

/* The daemon's socket, or NULL, and that is logged, if this process is in no domain. */
const char *connection_path(struct connection *connection);

/* Connects to this domain's xenemud and logs why if it cannot. Returns 0 or a negative errno. */
int connection_open(struct connection *connection, bool cloexec);

/* emu_call() under the lock. */
int connection_call(struct connection *connection, uint32_t op, const void *argument, size_t n_argument, void *ret_reply, size_t n_reply,
                    int *ret_fds, size_t n_fds);

/* emu_post(), likewise. */
int connection_post(struct connection *connection, uint32_t op, const void *argument, size_t n_argument);

/* Logs a sentence with error, a positive errno, behind it. */
void connection_log(struct connection *connection, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));
