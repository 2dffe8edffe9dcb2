/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The relay: connections, and one message after the other. */

#include "relay.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TIMEOUT_MS 30000                /* for a daemon to start and open its image, and for anything that it answers at once */

/* What is passed on is that of which everything is known that has to be said again. */
#define PROTOCOL_FEATURES                                                                                                                              \
        (VHOST_BIT(VHOST_PROTOCOL_F_MQ) | VHOST_BIT(VHOST_PROTOCOL_F_LOG_SHMFD) | VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIG))

#define OWN_FEATURES VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ)    /* offered whatever the daemon does, and not passed on: notice.h */

static void complain(const char *what, int r) {
        fprintf(stderr, "xcp-vhost-relay: %s: %s\n", what, strerror(-r));
}

static void close_back(struct relay *relay) {
        relay->back_io = sd_event_source_disable_unref(relay->back_io);
        vhost_frontend_close(&relay->back);
}

/* The front-end has gone, or is sent away. What it has under way the daemon sees to. */
static void drop(struct relay *relay) {
        relay->front_io = sd_event_source_disable_unref(relay->front_io);
        vhost_channel_close(&relay->front);
        close_back(relay);
        vhost_message_done(&relay->waiting);
        relay->waiting.request = 0;
        session_done(&relay->session);
        notice_end(&relay->notice);
        relay->protocol_features = 0;
        relay->is_stopping = false;
        if (!relay->is_ending)
                sd_event_source_set_enabled(relay->accepting, SD_EVENT_ON);
}

static void fail(struct relay *relay, const char *what, int r) {
        complain(what, r);
        drop(relay);
}

static int on_back(sd_event_source *source, int fd, uint32_t events, void *userdata);

static int open_back(struct relay *relay) {
        int fd = daemon_connect(&relay->daemon), r;

        if (fd < 0)
                return fd;
        r = vhost_frontend_open(&relay->back, fd, TIMEOUT_MS);
        if (r < 0) {
                close(fd);
                return r;
        }
        r = sd_event_add_io(relay->event, &relay->back_io, fd, EPOLLIN, on_back, relay);
        if (r < 0)
                close_back(relay);
        return r;
}

/* And what the guard has to know, which can be asked before all else. */
static int open_new_back(struct relay *relay) {
        uint64_t n_rings;
        int r;

        r = open_back(relay);
        if (r < 0)
                return r;
        r = vhost_frontend_ask_u64(&relay->back, VHOST_USER_GET_FEATURES, &relay->offer.features);
        if (r >= 0)
                r = vhost_frontend_ask_u64(&relay->back, VHOST_USER_GET_QUEUE_NUM, &n_rings);
        if (r < 0) {
                close_back(relay);
                return r;
        }
        relay->offer.n_rings = n_rings < SESSION_RINGS_MAX ? (uint32_t) n_rings : SESSION_RINGS_MAX;
        return 0;
}

/* One that waits for an answer is not read from. That it has gone is seen all the same. */
static int listen_to_front(struct relay *relay, bool listens) {
        return sd_event_source_set_io_events(relay->front_io, listens ? EPOLLIN : 0);
}

static int answer(struct relay *relay, const struct vhost_message *reply) {
        int r = vhost_channel_send(&relay->front, reply);

        return r == VHOST_CHANNEL_WAIT ? -ENOBUFS : r;  /* it asks, and does not read what it is answered */
}

/* Notices */

/* "Suspended device state": a front-end is not sent anything while no ring runs; and nothing either while it waits for an answer, which a question of its own would cross. */
static void send_notice(struct relay *relay) {
        const uint64_t needed = VHOST_BIT(VHOST_PROTOCOL_F_BACKEND_REQ) | VHOST_BIT(VHOST_PROTOCOL_F_CONFIG);
        bool runs = false;

        for (uint32_t ring = 0; ring < SESSION_RINGS_MAX && !runs; ring++)
                runs = session_ring_runs(&relay->session, ring);
        if (runs && relay->waiting.request == 0 && (relay->protocol_features & needed) == needed)
                notice_send(&relay->notice);
}

void relay_resized(struct relay *relay, uint64_t capacity) {
        notice_resized(&relay->notice, capacity);
        send_notice(relay);
}

static int take_channel(struct relay *relay, struct vhost_message *message) {
        const struct vhost_message done = {
                .request = message->request,
                .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
                .size = sizeof done.payload.u64,
        };
        bool is_asked = message->flags & VHOST_FLAG_NEED_REPLY && relay->protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK);
        int r = notice_open(&relay->notice, message);

        return r < 0 || !is_asked ? r : answer(relay, &done);
}

/* Stopping a ring */

static int ask_base(struct relay *relay, uint32_t ring, struct vhost_message *ret_reply) {
        const struct vhost_vring_state state = { .index = ring };
        int r;

        r = vhost_frontend_ask(&relay->back, VHOST_USER_GET_VRING_BASE, &state, sizeof state, ret_reply);
        if (r >= 0 && ret_reply->size != sizeof ret_reply->payload.state)
                r = -EPROTO;
        return r;
}

/* All that was taken is done: the next connection goes on. */
static void go_on(struct relay *relay) {
        int r;

        close_back(relay);
        relay->is_stopping = false;
        r = open_back(relay);
        if (r >= 0)
                r = session_tell(&relay->session, &relay->back);
        if (r >= 0) {
                session_wake(&relay->session);
                r = answer(relay, &relay->waiting);
        }
        if (r < 0) {
                fail(relay, "cannot go on after a ring was stopped", r);
                return;
        }
        relay->waiting.request = 0;
        listen_to_front(relay, true);
        send_notice(relay);
}

/* Its answers are waited for, so here it has closed the connection, or says what nobody has asked for. Unless a ring is to stop, the front-end would be left with nobody. */
static int on_back(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        VHOST_AUTO_MESSAGE unasked = {};
        struct relay *relay = userdata;
        int r;

        r = vhost_channel_receive(&relay->back.channel, &unasked);
        if (r == VHOST_CHANNEL_WAIT)
                return 0;
        if (r != VHOST_CHANNEL_END && r != -ECONNRESET)
                fail(relay, "the daemon breaks the protocol", r < 0 ? r : -EPROTO);
        else if (relay->is_stopping)
                go_on(relay);
        else if (relay->is_ending)
                drop(relay);
        else
                fail(relay, "the daemon has sent a front-end away", -ECONNRESET);
        return 0;
}

/* Others that run are begun again where they are. */
static int stop_ring(struct relay *relay, uint32_t ring) {
        int r = 0;

        for (uint32_t other = 0; other < SESSION_RINGS_MAX && r >= 0; other++) {
                VHOST_AUTO_MESSAGE reply = {};

                if (other == ring || !session_ring_runs(&relay->session, other))
                        continue;
                r = ask_base(relay, other, &reply);
                if (r >= 0)
                        r = session_ring_at(&relay->session, other, reply.payload.state.num);
        }
        if (r >= 0)
                r = ask_base(relay, ring, &relay->waiting);
        if (r >= 0)
                r = session_ring_stopped(&relay->session, ring, relay->waiting.payload.state.num);
        if (r >= 0)
                r = shutdown(relay->back.channel.fd, SHUT_WR) < 0 ? -errno : 0;
        if (r < 0)
                return r;
        relay->is_stopping = true;
        return listen_to_front(relay, false);
}

/* Messages */

static bool has_reply(const struct relay *relay, const struct vhost_message *message) {
        return vhost_request_kind(message->request)->has_reply ||
               (message->flags & VHOST_FLAG_NEED_REPLY && relay->protocol_features & VHOST_BIT(VHOST_PROTOCOL_F_REPLY_ACK));
}

static int check(const struct relay *relay, const struct vhost_message *message) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);
        int r = vhost_message_check(message, 0);

        if (r < 0)
                return r;
        if (kind->is_gated && !(relay->protocol_features & VHOST_BIT(kind->feature)))
                return -EBADMSG;
        if (message->request == VHOST_USER_SET_PROTOCOL_FEATURES && message->payload.u64 & ~(PROTOCOL_FEATURES | OWN_FEATURES))
                return -EBADMSG;
        return guard_check(&relay->session, &relay->offer, message);
}

/* What an understudy is not told, as it would begin to serve. */
static bool is_for_the_disk(uint32_t request) {
        switch (request) {
        case VHOST_USER_SET_VRING_NUM:
        case VHOST_USER_SET_VRING_BASE:
        case VHOST_USER_SET_VRING_ADDR:
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_ENABLE:
        case VHOST_USER_GET_VRING_BASE:
        case VHOST_USER_SET_CONFIG:
                return true;
        default:
                return false;
        }
}

static int receive_reply(struct relay *relay, uint32_t request) {
        VHOST_AUTO_MESSAGE reply = {};
        int r;

        r = vhost_frontend_receive(&relay->back, &reply);
        if (r < 0)
                return r;
        if (reply.request != request)
                return -EPROTO;
        if (request == VHOST_USER_GET_PROTOCOL_FEATURES)
                reply.payload.u64 = (reply.payload.u64 & PROTOCOL_FEATURES) | OWN_FEATURES;
        return answer(relay, &reply);
}

/* The daemon (as of 7.2) does not look at the offset, and answers with the beginning of the space. So it is asked for all up to what is wanted. */
static int ask_config(struct relay *relay, const struct vhost_message *message) {
        const uint32_t offset = message->payload.config.offset, n = message->size - VHOST_CONFIG_HEADER;
        const union vhost_payload all = { .config.size = offset + n };
        VHOST_AUTO_MESSAGE reply = { .request = VHOST_USER_GET_CONFIG, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY };
        int r;

        if (offset > VHOST_CONFIG_MAX - n)
                return answer(relay, &reply);           /* empty: there is no such place */
        r = vhost_frontend_ask(&relay->back, VHOST_USER_GET_CONFIG, &all, VHOST_CONFIG_HEADER + offset + n, &reply);
        if (r < 0)
                return r;
        reply.size = reply.size == VHOST_CONFIG_HEADER + offset + n ? VHOST_CONFIG_HEADER + n : 0;
        reply.payload.config.offset = offset;
        reply.payload.config.size = n;
        memmove(reply.payload.config.bytes, reply.payload.config.bytes + offset, n);
        notice_correct(&relay->notice, &reply);
        return answer(relay, &reply);
}

static int pass_on(struct relay *relay, struct vhost_message *message) {
        bool replies;
        int r;

        if (message->request == VHOST_USER_SET_BACKEND_REQ_FD)
                return take_channel(relay, message);
        if (message->request == VHOST_USER_GET_CONFIG)
                return ask_config(relay, message);
        if (message->request == VHOST_USER_SET_PROTOCOL_FEATURES) {
                relay->protocol_features = message->payload.u64;
                message->payload.u64 &= PROTOCOL_FEATURES;
        }
        if (message->request == VHOST_USER_GET_VRING_BASE && session_ring_runs(&relay->session, message->payload.state.index))
                return stop_ring(relay, message->payload.state.index);
        replies = has_reply(relay, message);            /* libvhost-user answers whoever asks for it, negotiated or not */
        r = vhost_frontend_send(&relay->back, message->request, replies ? message->flags & VHOST_FLAG_NEED_REPLY : 0, &message->payload, message->size,
                                message->fds, message->n_fds);
        if (r >= 0)
                r = session_keep(&relay->session, message);
        return r < 0 || !replies ? r : receive_reply(relay, message->request);
}

/* One. 0, or an outcome of the channel. */
static int handle_next(struct relay *relay) {
        VHOST_AUTO_MESSAGE message = {};
        int r;

        r = vhost_channel_receive(&relay->front, &message);
        if (r != 0)
                return r;
        r = check(relay, &message);
        if (r < 0)
                return r;
        if (!relay->stands_by || !is_for_the_disk(message.request))
                return pass_on(relay, &message);
        relay->waiting = message;
        message.n_fds = 0;              /* they go along */
        return listen_to_front(relay, false);
}

static int on_front(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct relay *relay = userdata;
        int r;

        if (relay->waiting.request != 0) {
                if (events & (EPOLLHUP | EPOLLERR))
                        drop(relay);
                return 0;
        }
        r = handle_next(relay);
        if (r == VHOST_CHANNEL_END)
                drop(relay);
        else if (r < 0)
                fail(relay, "a front-end is sent away", r);
        else
                send_notice(relay);
        return 0;
}

/* Connections */

/* Nobody is taken from the queue while there is no daemon: the next relay finds him there. */
static int on_connect(sd_event_source *source, int listen_fd, uint32_t events, void *userdata) {
        struct relay *relay = userdata;
        int fd, r;

        r = open_new_back(relay);
        if (r == -ECONNRESET || r == -ETIMEDOUT)        /* it is about to end, or has too much to do: once more */
                return 0;
        if (r < 0) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);      /* it has just ended: on_daemon_ended() */
                return 0;
        }
        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                close_back(relay);
                return 0;
        }
        r = vhost_channel_open(&relay->front, fd);
        if (r < 0)
                close(fd);
        notice_begin(&relay->notice);
        sd_event_source_set_enabled(source, SD_EVENT_OFF);      /* a vhost-user socket is one device: the next one waits until this one has gone */
        if (r >= 0)
                r = sd_event_add_io(relay->event, &relay->front_io, fd, EPOLLIN, on_front, relay);
        if (r < 0)
                fail(relay, "cannot connect a front-end", r);
        return 0;
}

/* Asked to, or while somebody needs it: either way what there is to say has been said, by it. */
static void on_daemon_ended(int status, void *userdata) {
        struct relay *relay = userdata;

        sd_event_exit(relay->event, relay->is_ending || status != 0 ? status : EXIT_FAILURE);
}

int relay_start(struct relay *relay, sd_event *event, int listen_fd, char **argv, char **understudy) {
        int r;

        *relay = (struct relay) {
                .event = event,
                .listen_fd = listen_fd,
                .argv = argv,
                .stands_by = understudy != NULL,
                .daemon = { .event = event, .place_fd = -1, .ended = on_daemon_ended, .userdata = relay },
                .front = VHOST_CHANNEL_NONE,
                .back = VHOST_FRONTEND_NONE,
                .notice = NOTICE_NONE,
        };
        r = daemon_start(&relay->daemon, listen_fd, understudy ?: argv);
        if (r >= 0)
                r = sd_event_add_io(event, &relay->accepting, listen_fd, EPOLLIN, on_connect, relay);
        return r;
}

void relay_done(struct relay *relay) {
        relay->is_ending = true;
        drop(relay);
        daemon_kill(&relay->daemon);
        sd_event_source_disable_unref(relay->accepting);
        close(relay->daemon.place_fd);
}

int relay_begin(struct relay *relay) {
        VHOST_AUTO_MESSAGE waiting = relay->waiting;
        int r;

        daemon_kill(&relay->daemon);
        relay->stands_by = false;
        relay->waiting = (struct vhost_message) {};
        r = daemon_start(&relay->daemon, relay->listen_fd, relay->argv);
        if (r < 0 || relay->front.fd < 0)
                return r;
        close_back(relay);
        r = open_back(relay);
        if (r >= 0)
                r = session_tell(&relay->session, &relay->back);
        if (r >= 0 && waiting.request != 0)
                r = pass_on(relay, &waiting);
        if (r < 0)
                fail(relay, "a front-end that has waited is sent away", r);
        else {
                listen_to_front(relay, true);
                send_notice(relay);
        }
        return 0;
}

void relay_end(struct relay *relay) {
        relay->is_ending = true;
        sd_event_source_set_enabled(relay->accepting, SD_EVENT_OFF);
        if (relay->daemon.pid == 0)
                sd_event_exit(relay->event, EXIT_SUCCESS);
        else
                kill(relay->daemon.pid, relay->stands_by ? SIGKILL : SIGTERM);
}
