/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "qmp-message.h"

#define READS_MAX 16u                   /* of one wake-up, so that a monitor that never stops talking is not all there is */
#define EVENTS_MAX 1024u                /* in a window, as each may end up on the bus and in a log; a guest's life has some ten */
#define WINDOW_USEC UINT64_C(1000000)
#define LATENESS_USEC UINT64_C(100000)  /* with which a deadline may be told, so that it wakes up nobody by itself */
#define STRAYS_MAX 8u                   /* commands that QEMU takes from one connection before it has answered them (monitor/qmp.c, QMP_REQ_QUEUE_LEN_MAX) */
#define REQUESTS_MAX 1024u              /* that wait: four times what may be asked of a VM at once */

#define FIRST_ID 1u                     /* of qmp_capabilities */

struct request {
        struct request *next;
        uint64_t id;
        const char *command;
        uint64_t until_usec;
        char *line;
        size_t n, n_sent;
        int fd;
        qmp_reply_t reply;              /* NULL: forgotten */
        bool is_late;                   /* its time has run out when it was under way */
        void *userdata;
};

struct qmp {
        sd_event *event;
        const struct qmp_listener *listener;
        void *userdata;
        struct qmp_reader *reader;
        struct request *first, **end;   /* the first is under way */
        size_t n_waiting;
        uint64_t n_requests;
        bool greeted, in_callback, freed, is_gone;
        bool is_heard;                  /* it has answered something that was asked for here */
        unsigned n_strays;
        int fd;
        sd_event_source *source;
        sd_event_source *window;        /* while it is on, events are counted; NULL: there was none yet */
        unsigned n_events;
        sd_event_source *deadline;      /* of the first that has somebody who waits, or before it; NULL: there was none yet */
};

static struct request *request_free(struct request *request) {
        if (request->fd >= 0)
                close(request->fd);
        free(request->line);
        free(request);
        return NULL;
}

static struct request *take_first(struct qmp *qmp) {
        struct request *request = qmp->first;

        qmp->first = request->next;
        qmp->n_waiting--;
        if (!qmp->first)
                qmp->end = &qmp->first;
        return request;
}

static void destroy(struct qmp *qmp) {
        while (qmp->first)
                request_free(take_first(qmp));
        sd_event_source_disable_unref(qmp->source);
        sd_event_source_disable_unref(qmp->window);
        sd_event_source_disable_unref(qmp->deadline);
        qmp_reader_free(qmp->reader);
        if (qmp->fd >= 0)
                close(qmp->fd);
        sd_event_unref(qmp->event);
        free(qmp);
}

/* It may be freed by whoever it calls: then it goes when the call is over. */
struct qmp *qmp_free(struct qmp *qmp) {
        if (!qmp)
                return NULL;
        for (struct request *request = qmp->first; request; request = request->next)
                request->reply = NULL;
        qmp->freed = true;
        if (!qmp->in_callback)
                destroy(qmp);
        return NULL;
}

static void gone(struct qmp *qmp, bool violated, const char *why) {
        if (qmp->is_gone)
                return;
        qmp->is_gone = true;
        qmp->source = sd_event_source_disable_unref(qmp->source);
        qmp->window = sd_event_source_disable_unref(qmp->window);
        qmp->deadline = sd_event_source_disable_unref(qmp->deadline);
        while (qmp->first && !qmp->freed) {
                struct request *request = take_first(qmp);

                if (request->reply)
                        request->reply(request->userdata, -ENOTCONN, NULL, why);
                request_free(request);
        }
        if (!qmp->freed)
                qmp->listener->gone(qmp->userdata, violated, why);
}

/* Sending */

static ssize_t send_some(struct qmp *qmp, struct request *request) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        struct iovec iov = { .iov_base = request->line + request->n_sent, .iov_len = request->n - request->n_sent };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (request->fd >= 0) {
                memcpy(CMSG_DATA(&control.header), &request->fd, sizeof request->fd);
                message.msg_control = control.space;
                message.msg_controllen = sizeof control.space;
        }
        return sendmsg(qmp->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_first(struct qmp *qmp) {
        struct request *request = qmp->first;

        while (qmp->greeted && request && request->n_sent < request->n) {
                ssize_t n = send_some(qmp, request);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)              /* what else is wrong shows when it is read from */
                        break;
                request->n_sent += (size_t) n;
                if (request->fd >= 0)
                        close(request->fd);
                request->fd = -1;
        }
        if (qmp->source)
                sd_event_source_set_io_events(qmp->source, EPOLLIN | (qmp->greeted && request && request->n_sent < request->n ? EPOLLOUT : 0));
}

/* Deadlines. All have the same time, and so end in the order in which they came. */

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);
static void receive(struct qmp *qmp);

static struct request *first_awaited(const struct qmp *qmp) {
        struct request *request = qmp->first;

        while (request && !request->reply)
                request = request->next;
        return request;
}

/* One that is on stays: it may be early, and is put right then, which costs less than to set it for each command. */
static void set_deadline(struct qmp *qmp) {
        const struct request *request = first_awaited(qmp);
        int enabled = SD_EVENT_OFF;

        if (!request || qmp->is_gone || (qmp->deadline && sd_event_source_get_enabled(qmp->deadline, &enabled) > 0))
                return;
        if (!qmp->deadline) {           /* without memory, there is none */
                (void) sd_event_add_time(qmp->event, &qmp->deadline, CLOCK_MONOTONIC, request->until_usec, LATENESS_USEC, on_deadline, qmp);
                return;
        }
        sd_event_source_set_time(qmp->deadline, request->until_usec);
        sd_event_source_set_enabled(qmp->deadline, SD_EVENT_ONESHOT);
}

static void unlink_request(struct qmp *qmp, const struct request *request) {
        struct request **p = &qmp->first;

        while (*p != request)
                p = &(*p)->next;
        *p = request->next;
        if (!*p)
                qmp->end = p;
        qmp->n_waiting--;
}

/*
 * What QEMU has a part of has to be sent to its end, and the answer to it is taken and dropped. What was not sent waits for the answer to another, which nobody
 * may wait for: then that is the one that is late.
 */
static void expire(struct qmp *qmp, struct request *request) {
        qmp_reply_t reply = request->reply;
        void *userdata = request->userdata;
        char why[128];

        snprintf(why, sizeof why, "its monitor has not answered %.64s within %" PRIu64 " ms", request->command, qmp->listener->answer_ms);
        request->reply = NULL;
        qmp->first->is_late |= !qmp->first->reply;
        if (request->n_sent == 0) {
                unlink_request(qmp, request);
                request_free(request);
        }
        reply(userdata, -ETIMEDOUT, NULL, why);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        struct qmp *qmp = userdata;
        struct request *request;
        uint64_t now;

        if (sd_event_now(qmp->event, CLOCK_MONOTONIC, &now) < 0)
                now = usec;
        qmp->in_callback = true;
        receive(qmp);                   /* who was held up is the manager, perhaps, and the answer is there */
        while (!qmp->freed && (request = first_awaited(qmp)) && request->until_usec <= now)
                expire(qmp, request);
        qmp->in_callback = false;
        if (qmp->freed) {
                destroy(qmp);
                return 0;
        }
        send_first(qmp);
        set_deadline(qmp);
        return 0;
}

static int make_line(struct request *request, struct json_object *arguments) {
        struct json_object *root = json_object_new_object();
        const char *text;

        if (!root) {
                json_object_put(arguments);
                return -ENOMEM;
        }
        json_object_object_add(root, "execute", json_object_new_string(request->command));
        json_object_object_add(root, "id", json_object_new_uint64(request->id));
        if (arguments)
                json_object_object_add(root, "arguments", arguments);
        text = json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        request->n = text ? strlen(text) + 1 : 0;
        request->line = text ? malloc(request->n) : NULL;
        if (request->line) {
                memcpy(request->line, text, request->n - 1);
                request->line[request->n - 1] = '\n';
        }
        json_object_put(root);
        return request->line ? 0 : -ENOMEM;
}

int qmp_execute(struct qmp *qmp, const char *command, struct json_object *arguments, int fd, qmp_reply_t reply, void *userdata,
                uint64_t *ret_id) {
        bool has_room = qmp->n_waiting < REQUESTS_MAX;
        struct request *request = qmp->is_gone || !has_room ? NULL : malloc(sizeof *request);
        uint64_t now;
        int r;

        if (!request) {
                json_object_put(arguments);
                if (qmp->is_gone)
                        return -ENOTCONN;
                return has_room ? -ENOMEM : -EBUSY;
        }
        *request = (struct request) { .id = ++qmp->n_requests, .command = command, .until_usec = UINT64_MAX, .fd = -1, .reply = reply,
                                      .userdata = userdata };
        if (sd_event_now(qmp->event, CLOCK_MONOTONIC, &now) >= 0)
                request->until_usec = now + qmp->listener->answer_ms * 1000;
        r = make_line(request, arguments);
        if (r >= 0 && fd >= 0) {
                request->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
                r = request->fd < 0 ? -errno : 0;
        }
        if (r < 0) {
                request_free(request);
                return r;
        }
        *qmp->end = request;
        qmp->end = &request->next;
        qmp->n_waiting++;
        if (ret_id)
                *ret_id = request->id;
        if (reply)
                set_deadline(qmp);
        if (qmp->first == request)
                send_first(qmp);
        return 0;
}

void qmp_forget(struct qmp *qmp, uint64_t id) {
        for (struct request *request = qmp->first; request; request = request->next)
                if (request->id == id)
                        request->reply = NULL;
}

/* Receiving. After so many events nothing is heard for the rest of the window. */

static int on_window(sd_event_source *window, uint64_t usec, void *userdata);

/*
 * QEMU answers to whoever is connected by then: what somebody had asked for who was there before, and is not any more, comes before all answers to what is asked for
 * here. Whose answer to the first command is whose cannot be told, so that there may be two.
 */
static bool is_stray(struct qmp *qmp, const struct qmp_message *message) {
        if (message->kind != QMP_RETURN && message->kind != QMP_ERROR)
                return false;
        return (!qmp->is_heard || message->id == FIRST_ID) && qmp->n_strays++ < STRAYS_MAX;
}

/* Returns whether it made sense. */
static bool take_response(struct qmp *qmp, const struct qmp_message *message) {
        struct request *request = qmp->first;

        if (!request || request->n_sent < request->n || request->id != message->id)
                return is_stray(qmp, message);
        qmp->is_heard = true;
        take_first(qmp);
        if (request->reply)
                request->reply(request->userdata, message->kind == QMP_ERROR ? -EIO : 0, message->value, message->text ?: "");
        else if (request->is_late)
                qmp->listener->late(qmp->userdata);
        request_free(request);
        if (!qmp->freed)
                send_first(qmp);
        return true;
}

static bool is_full(const struct qmp *qmp) {
        return qmp->n_events >= EVENTS_MAX;
}

/* Without a window, which is without memory, nothing is counted. */
static void count_event(struct qmp *qmp) {
        if (qmp->n_events == 0) {
                int r = 0;

                if (!qmp->window)
                        r = sd_event_add_time_relative(qmp->event, &qmp->window, CLOCK_MONOTONIC, WINDOW_USEC, 0, on_window, qmp);
                else if ((r = sd_event_source_set_time_relative(qmp->window, WINDOW_USEC)) >= 0)
                        r = sd_event_source_set_enabled(qmp->window, SD_EVENT_ONESHOT);
                if (r < 0)
                        return;
        }
        qmp->n_events++;
        if (is_full(qmp))
                sd_event_source_set_enabled(qmp->source, SD_EVENT_OFF);
}

static bool take_message(struct qmp *qmp, const struct qmp_message *message) {
        if (!qmp->greeted) {
                if (message->kind != QMP_GREETING)
                        return is_stray(qmp, message);
                qmp->greeted = true;
                send_first(qmp);
                return true;
        }
        if (message->kind == QMP_GREETING)
                return false;
        if (message->kind == QMP_EVENT) {
                count_event(qmp);
                qmp->listener->event(qmp->userdata, message->name, message->value);
                return true;
        }
        return take_response(qmp, message);
}

static void take_messages(struct qmp *qmp) {
        while (!qmp->freed && !is_full(qmp)) {
                struct qmp_message message;
                int r = qmp_reader_next(qmp->reader, &message);
                bool good;

                if (r == QMP_MORE)
                        return;
                if (r != 0) {
                        gone(qmp, true, "its monitor says what is no QMP");
                        return;
                }
                good = take_message(qmp, &message);
                json_object_put(message.root);
                if (!good && !qmp->freed)
                        gone(qmp, true, "its monitor says what was not asked for");
                if (!good || qmp->is_gone)
                        return;
        }
}

static void receive(struct qmp *qmp) {
        for (unsigned i = 0; i < READS_MAX && !qmp->freed && !qmp->is_gone && !is_full(qmp); i++) {
                char *data;
                size_t size;
                ssize_t n;

                if (qmp_reader_buffer(qmp->reader, &data, &size) < 0) {
                        gone(qmp, false, "there is no memory for what its monitor says");
                        return;
                }
                n = recv(qmp->fd, data, size, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return;
                if (n <= 0) {
                        gone(qmp, false, n < 0 && errno != ECONNRESET ? "its monitor cannot be heard" : "its monitor has hung up");
                        return;
                }
                qmp_reader_commit(qmp->reader, (size_t) n);
                take_messages(qmp);
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct qmp *qmp = userdata;

        qmp->in_callback = true;
        if (events & EPOLLOUT)
                send_first(qmp);
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                receive(qmp);
        qmp->in_callback = false;
        if (qmp->freed)
                destroy(qmp);
        return 0;
}

/* What waited is heard. */
static int on_window(sd_event_source *window, uint64_t usec, void *userdata) {
        struct qmp *qmp = userdata;
        bool was_full = is_full(qmp);

        qmp->n_events = 0;
        if (!was_full)
                return 0;
        sd_event_source_set_enabled(qmp->source, SD_EVENT_ON);
        qmp->in_callback = true;
        take_messages(qmp);
        qmp->in_callback = false;
        if (qmp->freed)
                destroy(qmp);
        return 0;
}

int qmp_new(struct qmp **ret_qmp, sd_event *event, int fd, const struct qmp_listener *listener, void *userdata) {
        struct qmp *qmp = malloc(sizeof *qmp);
        int r;

        if (!qmp) {
                close(fd);
                return -ENOMEM;
        }
        *qmp = (struct qmp) { .event = sd_event_ref(event), .listener = listener, .userdata = userdata, .fd = fd };
        qmp->end = &qmp->first;
        r = qmp_reader_new(&qmp->reader);
        if (r >= 0)
                r = sd_event_add_io(event, &qmp->source, fd, EPOLLIN, on_io, qmp);
        if (r >= 0)
                r = qmp_execute(qmp, "qmp_capabilities", NULL, -1, NULL, NULL, NULL);
        if (r < 0) {
                destroy(qmp);
                return r;
        }
        *ret_qmp = qmp;
        return 0;
}
