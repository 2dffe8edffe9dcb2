/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections; see connection.h. */

#include "connection.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define CONNECTION_BACKLOG 128
#define CONNECTION_RETRY_USEC (100 * 1000ull)
#define CONNECTION_POSTED_MAX 4096      /* in a row from one; far more than a socket holds, so that only who sends them meanwhile is left waiting */
#define ARRIVALS_MAX 64                 /* looked at together */

int socket_bind(int dir_fd, const char *name, int type) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd, r = 0;

        fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        /* By descriptor, so that the length of the directory's path does not count. */
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir_fd, name);
        if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || fchmodat(dir_fd, name, 0600, 0) < 0 ||
            listen(fd, CONNECTION_BACKLOG) < 0)
                r = -errno;
        if (r < 0) {
                close(fd);
                return r;
        }
        return fd;
}

struct connection *connection_free(struct connection *connection) {
        if (!connection)
                return NULL;

        LIST_REMOVE(connection, of_listener);
        connection->listener->n_connections--;
        if (connection->listener->source)
                (void) sd_event_source_set_enabled(connection->listener->source, SD_EVENT_ON);  /* there is room again */
        sd_event_source_disable_unref(connection->source);
        (void) epoll_ctl(connection->listener->arrivals, EPOLL_CTL_DEL, connection->fd, NULL);
        handle_free(connection->handle);
        close(connection->fd);
        if (connection->pidfd >= 0)
                close(connection->pidfd);
        free(connection);
        return NULL;
}

static int send_reply(int fd, int result, const struct reply *reply) {
        struct emu_reply header = { .result = result, .n_fds = reply ? reply->n_fds : 0 };
        union {
                struct cmsghdr header;
                char buffer[CMSG_SPACE(sizeof(int) * EMU_FDS_MAX)];
        } control = {};
        struct iovec iov[] = {
                { .iov_base = &header, .iov_len = sizeof header },
                { .iov_base = reply ? (void *) reply->body : NULL, .iov_len = reply ? reply->n_body : 0 },
        };
        struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };

        if (header.n_fds > 0) {
                message.msg_control = &control;
                message.msg_controllen = CMSG_SPACE(sizeof(int) * header.n_fds);
                control.header.cmsg_level = SOL_SOCKET;
                control.header.cmsg_type = SCM_RIGHTS;
                control.header.cmsg_len = CMSG_LEN(sizeof(int) * header.n_fds);
                memcpy(CMSG_DATA(&control.header), reply->fds, sizeof(int) * header.n_fds);
        }
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

void connection_answer(struct connection *connection, int result, const struct reply *reply) {
        connection->waiting_op = 0;
        connection->waiting_for = NULL;
        if (send_reply(connection->fd, result, reply) < 0)
                shutdown(connection->fd, SHUT_RDWR);
        else
                (void) sd_event_source_set_io_events(connection->source, EPOLLIN);
}

/* Replies that wait would hold descriptors on their way, of which a user has a limited number. */
static bool is_answer_read(int fd) {
        int n_unread;

        return ioctl(fd, SIOCOUTQ, &n_unread) == 0 && n_unread == 0;
}

static bool is_posted(const struct connection *connection, const void *untrusted_packet, size_t n_packet) {
        struct emu_request request;

        if (!connection->greeted || n_packet < sizeof request)
                return false;
        memcpy(&request, untrusted_packet, sizeof request);
        return emu_request_is_posted(&request);
}

/* Whoever posts what cannot be has nobody to tell. */
static void do_one_posted(struct connection *connection, const void *untrusted_packet, size_t n_packet) {
        struct listener *listener = connection->listener;
        struct reply reply;

        reply_init(&reply);
        if (n_packet <= EMU_REQUEST_MAX)
                (void) listener->request(connection, untrusted_packet, n_packet, &reply, listener->userdata);
}

/* Does what has been posted on one connection, up to what is not. */
static void do_posted(struct connection *connection) {
        uint8_t untrusted_packet[EMU_REQUEST_MAX];
        struct emu_request untrusted_next;

        for (unsigned int i = 0; i < CONNECTION_POSTED_MAX; i++) {
                ssize_t n = recv(connection->fd, &untrusted_next, sizeof untrusted_next, MSG_DONTWAIT | MSG_PEEK);

                if (n < 0 || !is_posted(connection, &untrusted_next, (size_t) n))
                        return;
                n = recv(connection->fd, untrusted_packet, sizeof untrusted_packet, MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0)
                        return;
                do_one_posted(connection, untrusted_packet, (size_t) n);
        }
}

/* Does what has been posted on any. None of it can end a connection. */
static void do_all_posted(const struct listener *listener) {
        struct epoll_event events[ARRIVALS_MAX];
        int n;

        do {
                n = epoll_wait(listener->arrivals, events, ARRIVALS_MAX, 0);
                for (int i = 0; i < n; i++)
                        do_posted(events[i].data.ptr);
        } while (n == ARRIVALS_MAX);
}

static int on_packet(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct connection *connection = userdata;
        struct listener *listener = connection->listener;
        uint8_t untrusted_packet[EMU_REQUEST_MAX];
        struct reply reply;
        ssize_t n = 0;
        int r;

        if (events & EPOLLIN) {
                /* Without room for descriptors: the kernel drops those a client sends along. */
                n = recv(fd, untrusted_packet, sizeof untrusted_packet, MSG_DONTWAIT | MSG_TRUNC);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
        }
        if (n <= 0 || !is_answer_read(fd)) {
                listener->closed(connection, listener->userdata);
                connection_free(connection);
                return 0;
        }

        if (is_posted(connection, untrusted_packet, (size_t) n)) {
                do_one_posted(connection, untrusted_packet, (size_t) n);
                do_posted(connection);
                return 0;
        }
        do_all_posted(listener);
        reply_init(&reply);
        if ((size_t) n > sizeof untrusted_packet)
                r = -EMSGSIZE;
        else
                r = listener->request(connection, untrusted_packet, n, &reply, listener->userdata);

        if (r == LISTENER_LATER) {
                /* Only to hear that it left. If the answer was given meanwhile, the operation is 0 again. */
                if (connection->waiting_op != 0)
                        (void) sd_event_source_set_io_events(source, EPOLLRDHUP);
        } else
                connection_answer(connection, r, &reply);

        /* Who was refused at the door gets no place to stay. The answer is in its hands already. */
        if (!connection->greeted)
                connection_free(connection);
        return 0;
}

static int pidfd_of_peer(int fd) {
        struct ucred credentials;
        socklen_t size = sizeof credentials;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
                return -errno;

        int pidfd = syscall(SYS_pidfd_open, credentials.pid, 0);
        return pidfd < 0 ? -errno : pidfd;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata) {
        struct listener *listener = userdata;

        listener->retry = sd_event_source_disable_unref(listener->retry);
        return sd_event_source_set_enabled(listener->source, SD_EVENT_ON);
}

/* Out of descriptors or memory: whoever waits in the backlog goes on waiting, and the loop does not spin meanwhile. */
static void listener_pause(struct listener *listener) {
        log_event("cannot accept another connection: %m; clients wait");
        if (listener->retry || sd_event_add_time_relative(listener->event, &listener->retry, CLOCK_MONOTONIC, CONNECTION_RETRY_USEC, 0,
                                                          on_retry, listener) >= 0)
                (void) sd_event_source_set_enabled(listener->source, SD_EVENT_OFF);
}

static int on_connect(sd_event_source *source, int listening_fd, uint32_t events, void *userdata) {
        struct epoll_event arrival = { .events = EPOLLIN | EPOLLET };
        struct listener *listener = userdata;
        struct connection *connection;
        int fd, r;

        if (listener->max_connections > 0 && listener->n_connections >= listener->max_connections)
                return sd_event_source_set_enabled(source, SD_EVENT_OFF);

        fd = accept4(listening_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
                        listener_pause(listener);
                return 0;
        }

        connection = calloc(1, sizeof *connection);
        if (!connection) {
                close(fd);
                return 0;
        }

        arrival.data.ptr = connection;
        connection->listener = listener;
        connection->fd = fd;
        connection->pidfd = listener->want_pidfd ? pidfd_of_peer(fd) : -1;
        LIST_INSERT_HEAD(&listener->connections, connection, of_listener);
        listener->n_connections++;
        r = sd_event_add_io(listener->event, &connection->source, fd, EPOLLIN, on_packet, connection);
        if (r < 0 || epoll_ctl(listener->arrivals, EPOLL_CTL_ADD, fd, &arrival) < 0)
                connection_free(connection);
        return 0;
}

int listener_start(struct listener *listener, sd_event *event, int fd) {
        int r;

        r = sd_event_add_io(event, &listener->source, fd, EPOLLIN, on_connect, listener);
        if (r < 0) {
                close(fd);
                return r;
        }

        listener->event = event;
        listener->fd = fd;
        return 0;
}

void listener_stop(struct listener *listener) {
        if (!listener->source)
                return;

        listener->source = sd_event_source_disable_unref(listener->source);
        listener->retry = sd_event_source_disable_unref(listener->retry);
        close(listener->fd);
        listener->fd = -1;
}
