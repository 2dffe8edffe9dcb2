/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A server: sockets, and the kicks of devices that have no threads. */

#include "server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "backend-private.h"

struct vhost_server {
        struct vhost_device device;     /* a copy, whose start() and stop() may be this file's */
        const struct vhost_device *origin;
        const struct vhost_server_listener *listener;
        void *userdata;
        sd_event *event;
        struct vhost_backend *backend;
        const char *connect_path;       /* of a front-end that listens; NULL: there is none such, or it is no longer to be connected to */
        sd_event_source *listening, *connection, *inside, *retry;
        int listen_fd;                  /* -1: none */
        bool is_connected;
        sd_event_source *kicks[VHOST_QUEUES_MAX];
};

static int on_kick(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct vhost_queue *queue = userdata;
        struct vhost_server *server = queue->backend->server;

        vhost_queue_clear_kick(queue);
        server->origin->handle(server->userdata, queue);
        return 0;
}

static void start_queue(void *userdata, struct vhost_queue *queue) {
        struct vhost_server *server = queue->backend->server;

        if (sd_event_add_io(server->event, &server->kicks[queue->index], queue->kick_fd, EPOLLIN, on_kick, queue) < 0)
                vhost_queue_fail(queue);
        else if (queue->at_once)
                server->origin->handle(userdata, queue);
}

static void stop_queue(void *userdata, struct vhost_queue *queue) {
        struct vhost_server *server = queue->backend->server;

        server->kicks[queue->index] = sd_event_source_disable_unref(server->kicks[queue->index]);
        vhost_queue_stopped(queue);
}

static void retry_later(struct vhost_server *server) {
        sd_event_source_set_time_relative(server->retry, VHOST_SERVER_RETRY_USEC);
        sd_event_source_set_enabled(server->retry, SD_EVENT_ONESHOT);
}

static void end(struct vhost_server *server) {
        server->is_connected = false;
        server->connection = sd_event_source_disable_unref(server->connection);
        if (server->listener && server->listener->closed)
                server->listener->closed(vhost_backend_complaint(server->backend), server->userdata);
        if (server->listening)
                sd_event_source_set_enabled(server->listening, SD_EVENT_ON);
        else if (server->connect_path)
                retry_later(server);
        else
                sd_event_exit(server->event, 0);
}

void vhost_server_process(struct vhost_server *server) {
        uint32_t events;

        if (!server->is_connected)
                return;
        if (vhost_backend_process(server->backend) == VHOST_BACKEND_CLOSED) {
                end(server);
                return;
        }
        events = vhost_backend_events(server->backend);
        if (events != 0)
                sd_event_source_set_io_events(server->connection, events);
        sd_event_source_set_enabled(server->connection, events != 0 ? SD_EVENT_ON : SD_EVENT_OFF);
}

static int on_ready(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        vhost_server_process(userdata);
        return 0;
}

/* Between two front-ends, too: what the last one has left must not be readable for ever. */
static int on_inside(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct vhost_server *server = userdata;

        if (server->is_connected)
                vhost_server_process(server);
        else
                vhost_backend_process(server->backend);
        return 0;
}

static int begin(struct vhost_server *server, int fd) {
        int r;

        r = vhost_backend_open(server->backend, fd);
        if (r >= 0)
                r = sd_event_add_io(server->event, &server->connection, fd, EPOLLIN, on_ready, server);
        if (r < 0)
                return r;
        server->is_connected = true;
        if (server->listening)
                sd_event_source_set_enabled(server->listening, SD_EVENT_OFF);
        if (server->listener && server->listener->connected)
                server->listener->connected(server->userdata);
        return 0;
}

/* Without waiting: a front-end whose queue is full counts as none. */
static int connect_to(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, r;

        strcpy(address.sun_path, path);                 /* fits: looked at by vhost_server_new_client() */
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) >= 0)
                return fd;
        r = -errno;
        close(fd);
        return r;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        struct vhost_server *server = userdata;
        int fd = server->connect_path ? connect_to(server->connect_path) : -ECANCELED;

        if (fd >= 0 && begin(server, fd) >= 0)
                return 0;
        if (fd >= 0)
                close(fd);
        if (server->connect_path)
                retry_later(server);
        return 0;
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t events, void *userdata) {
        int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd >= 0 && begin(userdata, fd) < 0)
                close(fd);
        return 0;
}

struct vhost_server *vhost_server_free(struct vhost_server *server) {
        if (!server)
                return NULL;
        sd_event_source_disable_unref(server->connection);
        sd_event_source_disable_unref(server->listening);
        sd_event_source_disable_unref(server->inside);
        sd_event_source_disable_unref(server->retry);
        vhost_backend_free(server->backend);
        if (server->listen_fd >= 0)
                close(server->listen_fd);
        sd_event_unref(server->event);
        free(server);
        return NULL;
}

static int take_over(struct vhost_server *server, int fd) {
        int listens;
        socklen_t n = sizeof listens;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) < 0)
                return -errno;
        if (!listens)
                return begin(server, fd);
        r = sd_event_add_io(server->event, &server->listening, fd, EPOLLIN, on_connection, server);
        if (r >= 0)
                server->listen_fd = fd;
        return r;
}

/* One that has nobody to serve yet. */
static int make(struct vhost_server **ret_server, sd_event *event, const struct vhost_device *device, const struct vhost_server_listener *listener,
                void *userdata) {
        struct vhost_server *server = calloc(1, sizeof *server);
        int r;

        if (!server)
                return -ENOMEM;
        server->device = *device;
        server->origin = device;
        server->listener = listener;
        server->userdata = userdata;
        server->event = sd_event_ref(event);
        server->listen_fd = -1;
        if (device->handle) {
                server->device.start = start_queue;
                server->device.stop = stop_queue;
        }
        r = vhost_backend_new(&server->backend, &server->device, userdata);
        if (r >= 0) {
                server->backend->server = server;
                r = sd_event_add_io(event, &server->inside, vhost_backend_inside_fd(server->backend), EPOLLIN, on_inside, server);
        }
        if (r < 0) {
                vhost_server_free(server);
                return r;
        }
        *ret_server = server;
        return 0;
}

int vhost_server_new(struct vhost_server **ret_server, sd_event *event, int fd, const struct vhost_device *device,
                     const struct vhost_server_listener *listener, void *userdata) {
        struct vhost_server *server;
        int r;

        r = make(&server, event, device, listener, userdata);
        if (r < 0)
                return r;
        r = take_over(server, fd);
        if (r < 0) {
                server->backend->channel.fd = -1;               /* still the caller's */
                vhost_server_free(server);
                return r;
        }
        *ret_server = server;
        return 0;
}

int vhost_server_new_client(struct vhost_server **ret_server, sd_event *event, const char *path, const struct vhost_device *device,
                            const struct vhost_server_listener *listener, void *userdata) {
        struct vhost_server *server;
        int r;

        if (strlen(path) >= sizeof ((struct sockaddr_un *) NULL)->sun_path)
                return -ENAMETOOLONG;
        r = make(&server, event, device, listener, userdata);
        if (r < 0)
                return r;
        server->connect_path = path;
        r = sd_event_add_time_relative(event, &server->retry, CLOCK_MONOTONIC, 0, 0, on_retry, server);
        if (r < 0) {
                vhost_server_free(server);
                return r;
        }
        *ret_server = server;
        return 0;
}

void vhost_server_stop(struct vhost_server *server) {
        server->connect_path = NULL;
        server->listening = sd_event_source_disable_unref(server->listening);
        if (!server->is_connected) {
                sd_event_exit(server->event, 0);
                return;
        }
        vhost_backend_close(server->backend);
        vhost_server_process(server);
}

void vhost_server_serve_last(struct vhost_server *server) {
        server->connect_path = NULL;
        server->listening = sd_event_source_disable_unref(server->listening);
        if (!server->is_connected)
                sd_event_exit(server->event, 0);
}

struct vhost_backend *vhost_server_backend(struct vhost_server *server) {
        return server->backend;
}

/* Whether somebody listens there. */
static bool is_alive(const struct sockaddr_un *address) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        bool alive;

        if (fd < 0)
                return true;
        alive = connect(fd, (const struct sockaddr *) address, sizeof *address) == 0 || errno == EAGAIN;
        close(fd);
        return alive;
}

int vhost_server_listen(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        struct stat st;
        int fd, r;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (lstat(path, &st) == 0) {
                if (!S_ISSOCK(st.st_mode) || is_alive(&address))
                        return -EADDRINUSE;
                unlink(path);
        }
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 8) < 0) {
                r = -errno;
                close(fd);
                return r;
        }
        return fd;
}
