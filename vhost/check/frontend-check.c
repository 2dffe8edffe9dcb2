/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Checks a front-end. */

#include "frontend-check.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frontend.h"
#include "memory-disk.h"
#include "server.h"
#include "watch.h"

#define DISK_SIZE (64u << 20)
#define DISK_QUEUES 4
#define PASS_ON_MS 10000                /* for one of the two to take a message */

struct relay {
        const struct frontend_check *check;
        struct watch watch;
        struct memory_disk *disk;
        int listen_fd, signal_fd;
        struct vhost_frontend ours;     /* the front-end's connection */
        struct vhost_frontend theirs;   /* to the disk: this is its front-end */
        bool hears_changes;             /* the front-end has given a descriptor for what the back-end says, in this session */
};

enum relay_outcome {
        RELAY_CLOSED = 1,               /* by the front-end */
        RELAY_REFUSED,                  /* by the disk */
        RELAY_STUCK,                    /* there is the request that it is cut off at */
        RELAY_SIGNAL,
};

int frontend_check_feature(const char *name) {
        static const struct {
                const char *name;
                int bit;
        } features[] = {
                { "MQ", VHOST_PROTOCOL_F_MQ },
                { "LOG_SHMFD", VHOST_PROTOCOL_F_LOG_SHMFD },
                { "REPLY_ACK", VHOST_PROTOCOL_F_REPLY_ACK },
                { "BACKEND_REQ", VHOST_PROTOCOL_F_BACKEND_REQ },
                { "CONFIG", VHOST_PROTOCOL_F_CONFIG },
                { "INFLIGHT_SHMFD", VHOST_PROTOCOL_F_INFLIGHT_SHMFD },
                { "RESET_DEVICE", VHOST_PROTOCOL_F_RESET_DEVICE },
                { "CONFIGURE_MEM_SLOTS", VHOST_PROTOCOL_F_CONFIGURE_MEM_SLOTS },
                { "STATUS", VHOST_PROTOCOL_F_STATUS },
                { "DEVICE_STATE", VHOST_PROTOCOL_F_DEVICE_STATE },
        };

        for (size_t i = 0; i < sizeof features / sizeof *features; i++)
                if (strcmp(features[i].name, name) == 0)
                        return features[i].bit;
        return -1;
}

static void trace(const struct relay *relay, const char *arrow, const struct vhost_message *message) {
        const struct vhost_request_kind *kind = vhost_request_kind(message->request);

        if (!relay->check->trace)
                return;
        printf("%s %s (%u), %u bytes, %zu descriptors\n", arrow, kind ? kind->name : "?", message->request, message->size, message->n_fds);
        fflush(stdout);
}

/* As it came, with its descriptors. */
static int pass_on(struct vhost_frontend *to, const struct vhost_message *message) {
        uint8_t bytes[VHOST_HEADER_SIZE + sizeof(union vhost_payload)];
        const uint32_t header[3] = { message->request, message->flags, message->size };

        memcpy(bytes, header, sizeof header);
        memcpy(bytes + sizeof header, &message->payload, message->size);
        return vhost_frontend_send_bytes(to, bytes, sizeof header + message->size, message->fds, message->n_fds);
}

/* Requests that have come. 0, or an outcome. */
static int pass_requests(struct relay *relay) {
        for (;;) {
                VHOST_AUTO_MESSAGE message = {};
                int r = vhost_channel_receive(&relay->ours.channel, &message);

                if (r == VHOST_CHANNEL_WAIT)
                        return 0;
                if (r < 0 && r != -ECONNRESET)
                        watch_note(&relay->watch, F_2, false, "what came is no message: %s", strerror(-r));
                if (r != 0)
                        return RELAY_CLOSED;
                trace(relay, ">", &message);
                watch_request(&relay->watch, &message);
                if (message.request == VHOST_USER_SET_BACKEND_REQ_FD)
                        relay->hears_changes = true;
                if (message.request == VHOST_USER_GET_CONFIG && memory_disk_has_grown(relay->disk) && relay->hears_changes)
                        watch_note(&relay->watch, F_20, true, " ");
                if (pass_on(&relay->theirs, &message) < 0)
                        return RELAY_REFUSED;
        }
}

static int pass_replies(struct relay *relay) {
        for (;;) {
                VHOST_AUTO_MESSAGE message = {};
                int r = vhost_channel_receive(&relay->theirs.channel, &message);

                if (r == VHOST_CHANNEL_WAIT)
                        return 0;
                if (r != 0)
                        return RELAY_REFUSED;
                if (message.request == VHOST_USER_GET_PROTOCOL_FEATURES)
                        message.payload.u64 &= ~relay->check->without;
                trace(relay, "<", &message);
                watch_reply(&relay->watch, &message);
                if (pass_on(&relay->ours, &message) < 0)
                        return RELAY_CLOSED;
        }
}

static int pass_all(struct relay *relay) {
        struct pollfd p[] = { { .fd = relay->ours.channel.fd, .events = POLLIN },
                              { .fd = relay->theirs.channel.fd, .events = POLLIN },
                              { .fd = memory_disk_stuck_fd(relay->disk), .events = POLLIN },
                              { .fd = relay->signal_fd, .events = POLLIN } };

        for (;;) {
                int r = 0;

                if (poll(p, sizeof p / sizeof *p, -1) < 0)
                        return -errno;
                /* Answers first: what a front-end sends after one has been answered is judged by that. */
                if (p[1].revents)
                        r = pass_replies(relay);
                if (r == 0 && p[0].revents)
                        r = pass_requests(relay);
                if (r == 0 && p[2].revents)
                        r = RELAY_STUCK;
                if (r == 0 && p[3].revents)
                        r = RELAY_SIGNAL;
                if (r != 0)
                        return r;
        }
}

/* A session, from its connection on. An outcome, or a negative errno. */
static int serve(struct relay *relay, int fd) {
        int ends[2], r;

        watch_begin(&relay->watch);
        relay->hears_changes = false;
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
                return -errno;
        r = memory_disk_begin(relay->disk, ends[1]);
        if (r < 0)
                return r;
        vhost_frontend_open(&relay->ours, fd, PASS_ON_MS);
        vhost_frontend_open(&relay->theirs, ends[0], PASS_ON_MS);
        r = pass_all(relay);
        vhost_frontend_close(&relay->theirs);
        memory_disk_end(relay->disk);
        vhost_frontend_close(&relay->ours);
        return r;
}

/* A connection, or -ETIMEDOUT, or -EINTR for a signal. */
static int wait_connection(const struct relay *relay, int timeout_ms) {
        struct pollfd p[] = { { .fd = relay->listen_fd, .events = POLLIN }, { .fd = relay->signal_fd, .events = POLLIN } };
        int n = poll(p, 2, timeout_ms), fd;

        if (n <= 0)
                return n < 0 ? -errno : -ETIMEDOUT;
        if (p[1].revents)
                return -EINTR;
        fd = accept4(relay->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

static int run(struct relay *relay) {
        int timeout_ms = -1;

        for (;;) {
                int r = wait_connection(relay, timeout_ms);

                if (r == -ETIMEDOUT)
                        watch_note(&relay->watch, F_19, false, "it does not come again");
                if (r == -ETIMEDOUT || r == -EINTR)
                        return 0;
                if (r >= 0)
                        r = serve(relay, r);
                if (r < 0)
                        return r;
                if (r != RELAY_STUCK) {
                        if (r == RELAY_CLOSED && memory_disk_has_grown(relay->disk) && relay->hears_changes &&
                            relay->watch.results[F_20].verdict == WATCH_NOT_SEEN)
                                watch_note(&relay->watch, F_20, false, "it was not asked for again");
                        return 0;
                }
                watch_cut_off(&relay->watch);
                timeout_ms = relay->check->timeout_ms;
        }
}

static unsigned print(const struct relay *relay) {
        static const char *const words[] = { "not seen", "passed", "FAILED" };
        const char *complaint = memory_disk_complaint(relay->disk);
        unsigned counts[3] = {};

        for (int i = 0; i < _F_N; i++) {
                const struct watch_clause_text *text = &watch_clauses[i];
                enum watch_verdict verdict = relay->watch.results[i].verdict;

                printf("%-5s %-7s %-12s %s%s%s\n", text->id, text->level, words[verdict], text->title, verdict == WATCH_FAILED ? ": " : "",
                       verdict == WATCH_FAILED ? relay->watch.results[i].why : "");
                counts[verdict]++;
        }
        if (complaint)
                printf("The back-end has ended the session: %s\n", complaint);
        printf("%u passed, %u failed, %u not seen; %u sessions, %u requests answered\n", counts[WATCH_PASSED], counts[WATCH_FAILED],
               counts[WATCH_NOT_SEEN], relay->watch.n_sessions, memory_disk_answered(relay->disk));
        return counts[WATCH_FAILED] + !!complaint;
}

int frontend_check(const struct frontend_check *check) {
        const struct memory_disk_options options = {
                .size = DISK_SIZE,
                .n_queues = DISK_QUEUES,
                .has_inband = check->has_inband,
                .leave_unanswered = check->cut_off,
        };
        static struct relay relay;
        sigset_t signals;
        int r;

        relay = (struct relay) { .check = check, .ours = VHOST_FRONTEND_NONE, .theirs = VHOST_FRONTEND_NONE };
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        pthread_sigmask(SIG_BLOCK, &signals, NULL);
        relay.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
        if (relay.signal_fd < 0)
                return -errno;
        r = relay.listen_fd = vhost_server_listen(check->path);
        if (r >= 0)
                r = memory_disk_new(&relay.disk, &options);
        if (r >= 0) {
                puts("ready");
                fflush(stdout);
                r = run(&relay);
        }
        if (r >= 0)
                r = (int) print(&relay);
        if (relay.disk)
                memory_disk_free(relay.disk);
        if (relay.listen_fd >= 0) {
                close(relay.listen_fd);
                unlink(check->path);
        }
        close(relay.signal_fd);
        return r;
}
