/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control-client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"

#define ANSWER_MAX (64u * 1024)         /* the backend sends 32 KiB at most */
#define ANSWER_USEC UINT64_C(10000000)  /* a backend answers between two rounds of its work, which are milliseconds */
#define REQUESTS_MAX 256u               /* waiting for their answers */
#define SEND_BUFFER (1024 * 1024)       /* some policies of the largest sort */
#define PACKETS_PER_WAKEUP 64u

struct request {
        struct request *next;
        control_answer_t answer;        /* NULL: nobody wants it any more */
        void *userdata;
        uint64_t until;
};

struct control_client {
        sd_event *event;
        int fd;
        sd_event_source *source, *timer, *end;
        const struct control_listener *listener;
        void *userdata;
        struct request *first, **last;
        size_t n_requests;
        char buffer[ANSWER_MAX + 1];
};

static void answer_first(struct control_client *client, int r, char *text) {
        struct request *request = client->first;
        control_answer_t answer = request->answer;
        void *userdata = request->userdata;

        client->first = request->next;
        if (!client->first)
                client->last = &client->first;
        client->n_requests--;
        free(request);
        if (answer)
                answer(r, text, userdata);
}

static void fail_all(struct control_client *client) {
        while (client->first)
                answer_first(client, -ECONNRESET, NULL);
}

/* From the loop, so that nobody is freed in the middle of something. */
static int on_end(sd_event_source *source, void *userdata) {
        struct control_client *client = userdata;

        fail_all(client);
        client->listener->gone(client->userdata);
        return 0;
}

static void connection_ended(struct control_client *client) {
        client->source = sd_event_source_disable_unref(client->source);
        if (!client->end)
                sd_event_add_defer(client->event, &client->end, on_end, client);
}

static int on_packet(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct control_client *client = userdata;

        for (unsigned i = 0; i < PACKETS_PER_WAKEUP; i++) {
                ssize_t n = recv(fd, client->buffer, ANSWER_MAX, MSG_DONTWAIT | MSG_TRUNC);

                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0 || (size_t) n > ANSWER_MAX) {
                        connection_ended(client);
                        return 0;
                }
                client->buffer[n] = '\0';
                if (strncmp(client->buffer, "event ", 6) == 0)
                        client->listener->event(client->buffer + 6, client->userdata);
                else if (client->first)
                        answer_first(client, 0, client->buffer);
        }
        return 0;
}

/* Who asked is told that there is no answer; one that comes later is nobody's. */
static int on_timer(sd_event_source *timer, uint64_t now, void *userdata) {
        struct control_client *client = userdata;

        for (struct request *request = client->first; request; request = request->next) {
                control_answer_t answer = request->answer;

                if (request->until > now) {
                        sd_event_source_set_time(timer, request->until);
                        return sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
                }
                request->answer = NULL;
                if (answer)
                        answer(-ETIMEDOUT, NULL, request->userdata);
        }
        return 0;
}

int control_client_ask(struct control_client *client, const char *text, size_t n, control_answer_t answer, void *userdata) {
        struct request *request;
        uint64_t now;

        if (client->n_requests == REQUESTS_MAX || !client->source)
                return client->source ? -EBUSY : -ECONNRESET;
        request = malloc(sizeof *request);
        if (!request)
                return -ENOMEM;
        if (send(client->fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
                free(request);
                return errno == EAGAIN ? -EBUSY : -errno;
        }
        sd_event_now(client->event, CLOCK_MONOTONIC, &now);
        *request = (struct request) { .answer = answer, .userdata = userdata, .until = now + ANSWER_USEC };
        *client->last = request;
        client->last = &request->next;
        if (client->n_requests++ == 0) {
                sd_event_source_set_time(client->timer, request->until);
                sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT);
        }
        return 0;
}

/* Through the directory's descriptor, since a socket's path may have a hundred bytes only. */
static int connect_to(int directory_fd, const char *name, int *ret_fd, pid_t *ret_pid) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        const int size = SEND_BUFFER;
        struct ucred who;
        socklen_t n = sizeof who;

        if (fd < 0)
                return -errno;
        snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        if (connect(fd, (const struct sockaddr *) &address, sizeof address) < 0)
                return -errno;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
                return -errno;
        *ret_pid = who.pid;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int control_client_new(struct control_client **ret_client, sd_event *event, int directory_fd, const char *name,
                       const struct control_listener *listener, void *userdata, pid_t *ret_pid) {
        struct control_client *client = calloc(1, sizeof *client);
        int r;

        if (!client)
                return -ENOMEM;
        *client = (struct control_client) { .event = sd_event_ref(event), .fd = -1, .listener = listener, .userdata = userdata };
        client->last = &client->first;
        r = connect_to(directory_fd, name, &client->fd, ret_pid);
        if (r >= 0)
                r = sd_event_add_io(event, &client->source, client->fd, EPOLLIN, on_packet, client);
        if (r >= 0)
                r = sd_event_add_time(event, &client->timer, CLOCK_MONOTONIC, 0, 0, on_timer, client);
        if (r >= 0)
                r = sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
        if (r < 0) {
                control_client_free(client);
                return r;
        }
        *ret_client = client;
        return 0;
}

struct control_client *control_client_free(struct control_client *client) {
        if (!client)
                return NULL;
        client->source = sd_event_source_disable_unref(client->source);
        fail_all(client);
        sd_event_source_disable_unref(client->timer);
        sd_event_source_disable_unref(client->end);
        if (client->fd >= 0)
                close(client->fd);
        sd_event_unref(client->event);
        free(client);
        return NULL;
}
