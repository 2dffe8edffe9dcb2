/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks the relay as a front-end. In place of the daemon is a thread, which answers as libvhost-user does.
 *
 * The input: whether it stands by, and a list of messages: what descriptors come with one, its request, its flags, its size, and as many bytes, of which those that
 * the input has no more of are zeros; and of steps of the storage service's.
 *
 * Invariants: the daemon hears of nothing that is out of bounds; and when all is over, there are as many descriptors as before.
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay.h"

#define MEMORY 65536u
#define RINGS 4u
#define THREADS_MAX 4096u
#define FEATURES (VHOST_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_BIT(VHOST_F_LOG_ALL) | VHOST_BIT(VHOST_F_VERSION_1))

enum { STEP_RESIZED = 200, STEP_BEGIN };        /* in place of a request */

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t n;
};

static int memory_fd, event_fd, pipe_fds[2], listen_fd;
static struct sockaddr_un address;
static socklen_t address_size;
static pthread_t threads[THREADS_MAX];
static size_t n_threads;

/* The daemon */

struct heard {
        struct vhost_channel channel;
        union vhost_payload table;
        struct vhost_vring_address address[RINGS];
        uint32_t size[RINGS];
        bool has_address[RINGS], runs[RINGS];
};

static bool is_there(const struct heard *heard, uint64_t at, uint64_t n) {
        for (uint32_t i = 0; i < heard->table.memory.n_regions; i++) {
                const struct vhost_region *region = &heard->table.memory.regions[i];

                if (at >= region->user_address && (unsigned __int128) at + n <= (unsigned __int128) region->user_address + region->size)
                        return true;
        }
        return false;
}

static void demand_places(const struct heard *heard) {
        for (uint32_t i = 0; i < RINGS; i++) {
                const struct vhost_vring_address *at = &heard->address[i];
                uint64_t n = heard->size[i];

                if (!heard->runs[i] || !heard->has_address[i])
                        continue;
                demand(n > 0 && n <= 1024 && is_there(heard, at->descriptor, 16 * n) && is_there(heard, at->available, 6 + 2 * n) && is_there(heard, at->used, 6 + 8 * n));
        }
}

static void hear_table(struct heard *heard, const struct vhost_message *message) {
        heard->table = message->payload;
        demand(heard->table.memory.n_regions <= VHOST_REGIONS_MAX && message->n_fds == heard->table.memory.n_regions);
        for (uint32_t i = 0; i < heard->table.memory.n_regions; i++) {
                const struct vhost_region *region = &heard->table.memory.regions[i];
                struct stat st;

                demand(fstat(message->fds[i], &st) == 0);
                demand((unsigned __int128) region->mmap_offset + region->size <= (S_ISREG(st.st_mode) ? (uint64_t) st.st_size : UINT64_MAX));
        }
}

static void hear(struct heard *heard, const struct vhost_message *message) {
        uint32_t ring = message->payload.state.index;

        switch (message->request) {
        case VHOST_USER_SET_FEATURES:
                demand((message->payload.u64 & ~FEATURES) == 0);
                break;
        case VHOST_USER_SET_MEM_TABLE:
                hear_table(heard, message);
                break;
        case VHOST_USER_SET_VRING_KICK:
        case VHOST_USER_SET_VRING_CALL:
        case VHOST_USER_SET_VRING_ERR:
                ring = message->payload.u64 & 0xff;
                demand(ring < RINGS && message->n_fds == !(message->payload.u64 & VHOST_VRING_NO_FD));
                heard->runs[ring] |= message->request == VHOST_USER_SET_VRING_KICK;
                break;
        case VHOST_USER_SET_VRING_NUM:
        case VHOST_USER_SET_VRING_BASE:
        case VHOST_USER_SET_VRING_ADDR:
        case VHOST_USER_SET_VRING_ENABLE:
        case VHOST_USER_GET_VRING_BASE:
                demand(ring < RINGS);
                if (message->request == VHOST_USER_SET_VRING_NUM)
                        heard->size[ring] = message->payload.state.num;
                if (message->request == VHOST_USER_SET_VRING_ADDR) {
                        heard->address[ring] = message->payload.address;
                        heard->has_address[ring] = true;
                }
                if (message->request == VHOST_USER_GET_VRING_BASE)
                        heard->runs[ring] = false;
                break;
        }
        demand_places(heard);
}

static void reply_to(struct heard *heard, const struct vhost_message *message) {
        struct vhost_message reply = { .request = message->request, .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, .size = 8 };

        switch (message->request) {
        case VHOST_USER_GET_FEATURES:
                reply.payload.u64 = FEATURES;
                break;
        case VHOST_USER_GET_PROTOCOL_FEATURES:
                reply.payload.u64 = UINT64_MAX;
                break;
        case VHOST_USER_GET_QUEUE_NUM:
                reply.payload.u64 = RINGS;
                break;
        case VHOST_USER_GET_VRING_BASE:
                reply.payload.state.index = message->payload.state.index;
                break;
        case VHOST_USER_GET_CONFIG:
                reply.size = message->payload.config.size <= 60 ? message->size : 0;
                break;
        case VHOST_USER_SET_LOG_BASE:
                break;
        default:
                if (!(message->flags & VHOST_FLAG_NEED_REPLY))
                        return;
        }
        vhost_channel_send(&heard->channel, &reply);
}

static void *serve(void *userdata) {
        struct heard *heard = userdata;

        for (;;) {
                struct pollfd p = { .fd = heard->channel.fd, .events = POLLIN };
                VHOST_AUTO_MESSAGE message = {};
                int r = vhost_channel_receive(&heard->channel, &message);

                if (r == VHOST_CHANNEL_WAIT) {
                        poll(&p, 1, -1);
                        continue;
                }
                if (r != 0)
                        break;
                hear(heard, &message);
                reply_to(heard, &message);
        }
        vhost_channel_close(&heard->channel);
        free(heard);
        return NULL;
}

int daemon_connect(const struct daemon *daemon) {
        struct heard *heard;
        int fds[2];

        if (n_threads == THREADS_MAX)
                return -ECONNREFUSED;
        heard = calloc(1, sizeof *heard);
        demand(heard && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0 && vhost_channel_open(&heard->channel, fds[1]) == 0);
        demand(pthread_create(&threads[n_threads++], NULL, serve, heard) == 0);
        return fds[0];
}

int daemon_start(struct daemon *daemon, int beside, char *const argv[]) {
        return 0;
}

void daemon_kill(struct daemon *daemon) {
}

/* The front-end */

static uint8_t next(struct input *input) {
        if (input->n == 0)
                return 0;
        input->n--;
        return *input->data++;
}

static int step(struct relay *relay, struct vhost_frontend *peer, struct input *input) {
        uint8_t fds_byte = next(input);
        union vhost_payload payload = {};
        uint32_t request = next(input), flags = next(input), n = next(input);
        size_t n_fds = (fds_byte & 15) <= 10 ? fds_byte & 15 : 1;
        int fds[10];

        for (size_t i = 0; i < n_fds; i++)
                fds[i] = fds_byte & 16 ? pipe_fds[i % 2] : fds_byte & 32 ? event_fd : memory_fd;
        for (uint32_t i = 0; i < n; i++)
                payload.bytes[i] = next(input);
        if (request == STEP_RESIZED)
                relay_resized(relay, payload.u64);
        else if (request == STEP_BEGIN && relay->stands_by)
                demand(relay_begin(relay) >= 0);
        else    /* the sum makes the usual flags, version 1, come from a zero */
                return vhost_frontend_send(peer, request, (flags ^ 1) & 0x8f, &payload, n, fds, n_fds);
        return 0;
}

static void run(struct relay *relay, struct vhost_frontend *peer) {
        struct vhost_message reply;

        while (relay->is_stopping || sd_event_run(relay->event, 0) > 0)
                if (relay->is_stopping)
                        demand(sd_event_run(relay->event, 60 * UINT64_C(1000000)) > 0);
        while (vhost_channel_receive(&peer->channel, &reply) == 0)
                vhost_message_done(&reply);
}

static void prepare(void) {
        if (memory_fd != 0)
                return;
        memory_fd = memfd_create("fuzz", MFD_CLOEXEC);
        event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        demand(memory_fd > 0 && event_fd > 0 && listen_fd > 0 && pipe(pipe_fds) == 0 && ftruncate(memory_fd, MEMORY) == 0);
        address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        address_size = sizeof address;
        demand(bind(listen_fd, (const struct sockaddr *) &address, sizeof address.sun_family) == 0 && listen(listen_fd, 4) == 0);     /* a name of the kernel's choice */
        demand(getsockname(listen_fd, (struct sockaddr *) &address, &address_size) == 0);
        stderr = fopen("/dev/null", "we");              /* where the relay says why it sends somebody away; a crash is told elsewhere */
        demand(stderr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        char *argv[] = { (char *) "daemon", NULL };
        struct input input = { data, size };
        struct vhost_frontend peer;
        struct relay relay;
        sd_event *event;
        int fd, before, after;

        prepare();
        before = dup(0);
        close(before);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        demand(fd >= 0 && connect(fd, (const struct sockaddr *) &address, address_size) == 0 && vhost_frontend_open(&peer, fd, 0) == 0);
        demand(sd_event_new(&event) >= 0 && relay_start(&relay, event, listen_fd, argv, next(&input) & 1 ? argv : NULL) >= 0);
        run(&relay, &peer);
        while (input.n > 0 && step(&relay, &peer, &input) >= 0)
                run(&relay, &peer);
        vhost_frontend_close(&peer);
        run(&relay, &peer);
        relay_done(&relay);
        sd_event_unref(event);
        while (n_threads > 0)
                pthread_join(threads[--n_threads], NULL);
        after = dup(0);
        close(after);
        demand(after == before);
        return 0;
}
