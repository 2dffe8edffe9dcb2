/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A handle's connection to xenemud; see connection.h. */

#include "connection.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

static int restrict_to_nothing(struct toolcore_handle *handle, domid_t domid) {
        return xentoolcore__restrict_by_dup2_null(((struct connection *) handle)->fd);
}

int connection_init(struct connection *connection, const char *name, xentoollog_logger *logger,
                    int (*restrict_handle)(struct toolcore_handle *handle, domid_t domid)) {
        *connection = (struct connection) {
                .toolcore.restrict_handle = restrict_handle ?: restrict_to_nothing,
                .name = name,
                .logger = logger,
                .fd = -1,
        };

        if (!logger) {
                connection->own_logger = (xentoollog_logger *) xtl_createlogger_stdiostream(stderr, XTL_ERROR, 0);
                if (!connection->own_logger)
                        return -ENOMEM;
                connection->logger = connection->own_logger;
        }

        pthread_mutex_init(&connection->lock, NULL);
        /* Before anything is opened, so that no thread can restrict the process and miss this handle. */
        xentoolcore__register_active_handle(&connection->toolcore);
        return 0;
}

/* Also right in a child after fork(2): the daemon sees the end only when the parent has closed its copy too. */
void connection_deinit(struct connection *connection) {
        xentoolcore__deregister_active_handle(&connection->toolcore);
        if (connection->fd >= 0)
                close(connection->fd);
        pthread_mutex_destroy(&connection->lock);
        xtl_logger_destroy(connection->own_logger);
}

static void log_refusal(struct connection *connection, const char *path, int error) {
        switch (error) {
        case ENOENT:
        case ECONNREFUSED:
                connection_log(connection, error, "xenemud is not running at %s: bring the domain up (xenemu up)", path);
                break;
        case EPROTO:
                connection_log(connection, error, "xenemud at %s is of another build than this library: run xenemu down and up", path);
                break;
        case EMFILE:
                connection_log(connection, error, "xenemud at %s: the domain has all handles it may have: close some or raise the limit",
                               path);
                break;
        default:
                connection_log(connection, error, "cannot connect to xenemud at %s", path);
        }
}

const char *connection_path(struct connection *connection) {
        const char *path = getenv("XENEMU_SOCKET");

        if (path && *path)
                return path;
        connection_log(connection, ENOENT, "this process is in no domain: XENEMU_SOCKET is not set; start it with xenemu exec");
        return NULL;
}

int connection_open(struct connection *connection, bool cloexec) {
        const char *path = connection_path(connection);
        int fd;

        if (!path)
                return -ENOENT;

        fd = emu_connect(path, cloexec);
        if (fd < 0) {
                log_refusal(connection, path, -fd);
                return fd;
        }

        connection->fd = fd;
        return 0;
}

int connection_call(struct connection *connection, uint32_t op, const void *argument, size_t n_argument, void *ret_reply, size_t n_reply,
                    int *ret_fds, size_t n_fds) {
        int r;

        pthread_mutex_lock(&connection->lock);
        r = emu_call(connection->fd, op, argument, n_argument, ret_reply, n_reply, ret_fds, n_fds);
        pthread_mutex_unlock(&connection->lock);
        return r;
}

int connection_post(struct connection *connection, uint32_t op, const void *argument, size_t n_argument) {
        int r;

        pthread_mutex_lock(&connection->lock);
        r = emu_post(connection->fd, op, argument, n_argument);
        pthread_mutex_unlock(&connection->lock);
        return r;
}

void connection_log(struct connection *connection, int error, const char *format, ...) {
        va_list arguments;

        va_start(arguments, format);
        xtl_logv(connection->logger, XTL_ERROR, error, connection->name, format, arguments);
        va_end(arguments);
}
