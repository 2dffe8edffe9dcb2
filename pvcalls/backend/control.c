/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "log.h"
#include "name-text.h"
#include "settings.h"

#define CLIENTS_MAX 4u                  /* a controller, one that takes over from it, and somebody who looks */
#define REQUEST_MAX (POLICY_TEXT_MAX + 64u)
#define REPLY_MAX (32u * 1024)
#define LINE_MAX_BYTES 1280u            /* of a socket in a list */

struct client {
        struct control *control;
        int fd;                         /* -1: none */
        sd_event_source *source;
};

struct control {
        sd_event *event;
        int fd;
        sd_event_source *source;
        struct client clients[CLIENTS_MAX];
        struct guest_terms *terms;
        struct device *device;
        char request[REQUEST_MAX + 1];
        char reply[REPLY_MAX];
        size_t n_reply;
};

/* Adds to the reply. What does not fit is left out whole. */
__attribute__((format(printf, 2, 3))) static void say(struct control *control, const char *format, ...) {
        size_t room = REPLY_MAX - control->n_reply;
        va_list args;
        int n;

        va_start(args, format);
        n = vsnprintf(control->reply + control->n_reply, room, format, args);
        va_end(args);
        if (n > 0 && (size_t) n < room)
                control->n_reply += (size_t) n;
}

static struct guest *guest_of(struct control *control) {
        return control->device ? device_guest(control->device) : NULL;
}

static void set_policy(struct control *control, const char *text) {
        struct guest *guest = guest_of(control);
        struct policy policy;
        struct policy_error error;
        int r;

        r = policy_parse(text, strlen(text), &policy, &error);
        if (r == -ENOMEM) {
                say(control, "error no memory\n");
                return;
        }
        if (r < 0) {
                say(control, "error line %u: %s\n", error.line, error.text);
                return;
        }
        policy_done(&control->terms->policy);
        control->terms->policy = policy;
        say(control, "ok %u\n", guest ? guest_apply_policy(guest) : 0);
        log_event(LOG_INFO, NULL, "The policy has been replaced; it has %zu rules", policy.n_rules);
}

static void set_limit(struct control *control, const char *text) {
        struct limits limits = control->terms->limits;

        if (limits_set(&limits, text) < 0) {
                say(control, "error there is no such limit, or it cannot be that much\n");
                return;
        }
        guest_terms_set_limits(control->terms, &limits);
        say(control, "ok\n");
}

static void list(struct control *control, const char *from) {
        struct guest *guest = guest_of(control);
        uint64_t serial = strtoull(from, NULL, 10);
        struct guest_socket_report report;
        char local[NAME_TEXT_SIZE], remote[NAME_TEXT_SIZE];

        say(control, "ok\n");
        while (guest && guest_report(guest, serial, &report)) {
                serial = report.serial + 1;
                if (REPLY_MAX - control->n_reply < LINE_MAX_BYTES + 64) {
                        say(control, "more %llu\n", (unsigned long long) report.serial);
                        return;
                }
                say(control, "socket %llu %s %s %s received=%llu sent=%llu queued=%llu age-ms=%llu family=%s type=%s joined=%s\n",
                    (unsigned long long) report.serial, report.state, name_text(&report.local, local), name_text(&report.remote, remote),
                    (unsigned long long) report.n_received, (unsigned long long) report.n_sent, (unsigned long long) report.n_queued,
                    (unsigned long long) report.age_usec / 1000, family_text(report.family),
                    report.type == SOCK_DGRAM ? "datagram" : "stream", report.joined ? "yes" : "no");
        }
}

static void count(struct control *control) {
        struct guest *guest = guest_of(control);
        const struct counters *counters = &control->terms->counters;

        say(control, "ok\n");
#define COUNTERS_SAY(name, text) say(control, "%s %llu\n", text, (unsigned long long) counters->name);
        COUNTERS(COUNTERS_SAY)
#undef COUNTERS_SAY
        say(control, "sockets.now %u\n", guest ? guest_n_sockets(guest) : 0);
}

static void close_sockets(struct control *control, const char *which) {
        struct guest *guest = guest_of(control);

        if (strcmp(which, "all") == 0)
                say(control, "ok %u\n", guest ? guest_close_all(guest) : 0);
        else if (guest && guest_close_socket(guest, strtoull(which, NULL, 10)) == 0)
                say(control, "ok\n");
        else
                say(control, "error there is no such socket\n");
}

/* The text behind a word and the blank or newline after it; NULL if the request is another. */
static const char *after(const char *request, const char *word) {
        size_t n = strlen(word);

        if (strncmp(request, word, n) != 0 || (request[n] != '\0' && request[n] != ' ' && request[n] != '\n'))
                return NULL;
        return request[n] == '\0' ? request + n : request + n + 1;
}

static void answer(struct control *control) {
        const char *rest;

        control->n_reply = 0;
        if ((rest = after(control->request, "policy")))
                set_policy(control, rest);
        else if ((rest = after(control->request, "limit")))
                set_limit(control, rest);
        else if ((rest = after(control->request, "list")))
                list(control, rest);
        else if (after(control->request, "counters"))
                count(control);
        else if ((rest = after(control->request, "close")))
                close_sockets(control, rest);
        else if (after(control->request, "state"))
                say(control, "ok %s %s\n", control->device ? device_state(control->device) : "Waiting",
                    control->device ? device_reason(control->device) : "");
        else
                say(control, "error there is no such request\n");
}

static void client_drop(struct client *client) {
        client->source = sd_event_source_disable_unref(client->source);
        if (client->fd >= 0)
                close(client->fd);
        client->fd = -1;
}

/* A client that does not read what it is told is not waited for. */
static void client_send(struct client *client) {
        struct control *control = client->control;

        if (client->fd >= 0 && send(client->fd, control->reply, control->n_reply, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
                client_drop(client);
}

static int on_request(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct client *client = userdata;
        struct control *control = client->control;
        ssize_t n = recv(fd, control->request, REQUEST_MAX, MSG_DONTWAIT | MSG_TRUNC);

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0) {
                client_drop(client);
                return 0;
        }
        control->n_reply = 0;
        if ((size_t) n > REQUEST_MAX) {
                say(control, "error %zd bytes are more than a request may have, %u\n", n, REQUEST_MAX);
        } else {
                control->request[n] = '\0';
                answer(control);
        }
        client_send(client);
        return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct control *control = userdata;
        AUTO_CLOSE int client_fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct client *client = NULL;

        for (size_t i = 0; i < CLIENTS_MAX && !client; i++)
                if (control->clients[i].fd < 0)
                        client = &control->clients[i];
        if (client_fd < 0 || !client)
                return 0;
        if (sd_event_add_io(control->event, &client->source, client_fd, EPOLLIN, on_request, client) < 0)
                return 0;
        client->fd = client_fd;
        client_fd = -1;
        return 0;
}

static void tell_all(struct control *control) {
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                client_send(&control->clients[i]);
}

void control_tell_state(struct control *control, const char *state, const char *reason) {
        control->n_reply = 0;
        say(control, "event state %s %s\n", state, reason);
        tell_all(control);
}

void control_tell_denied(struct control *control, enum policy_call call, const struct pvcalls_name *address, int rule, unsigned n) {
        char text[NAME_TEXT_SIZE];

        control->n_reply = 0;
        say(control, "event denied %s %s rule=%d count=%u\n", call == POLICY_CONNECT ? "connect" : "bind", name_text(address, text), rule, n);
        tell_all(control);
}

void control_set_device(struct control *control, struct device *device) {
        control->device = device;
}

/* Whether somebody listens there. */
static bool is_taken(const struct sockaddr_un *address) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        return fd >= 0 && (connect(fd, (const struct sockaddr *) address, sizeof *address) == 0 || errno == EAGAIN);
}

static int listen_at(const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO_CLOSE int fd = -1;
        mode_t before;
        int r;

        if (strlen(path) >= sizeof address.sun_path)
                return -ENAMETOOLONG;
        strcpy(address.sun_path, path);
        if (is_taken(&address))
                return -EADDRINUSE;
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        before = umask(0177);
        r = bind(fd, (const struct sockaddr *) &address, sizeof address) < 0 ? -errno : 0;
        umask(before);
        if (r < 0)
                return r;
        if (listen(fd, (int) CLIENTS_MAX) < 0)
                return -errno;
        r = fd;
        fd = -1;
        return r;
}

int control_new(struct control **ret_control, sd_event *event, const char *path, struct guest_terms *terms) {
        __attribute__((cleanup(control_freep))) struct control *control = calloc(1, sizeof *control);
        int r;

        if (!control)
                return -ENOMEM;
        control->event = sd_event_ref(event);
        control->terms = terms;
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                control->clients[i] = (struct client) { .control = control, .fd = -1 };
        control->fd = listen_at(path);
        if (control->fd < 0)
                return control->fd;
        r = sd_event_add_io(event, &control->source, control->fd, EPOLLIN, on_connection, control);
        if (r < 0)
                return r;
        *ret_control = control;
        control = NULL;
        return 0;
}

struct control *control_free(struct control *control) {
        if (!control)
                return NULL;
        for (size_t i = 0; i < CLIENTS_MAX; i++)
                client_drop(&control->clients[i]);
        sd_event_source_disable_unref(control->source);
        if (control->fd >= 0)
                close(control->fd);
        sd_event_unref(control->event);
        free(control);
        return NULL;
}
