/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A device's state, which is handed to another back-end in a migration ("Migrating back-end state").
 *
 * It is small (VHOST_STATE_MAX), so that all of it is in a pipe at once and nobody waits: it is written when the pipe comes, and, at the other end,
 * read when the front-end asks whether all has arrived.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "backend-private.h"
#include "now.h"

#define REPLY_FAILED 1u

enum {
        DIRECTION_SAVE,
        DIRECTION_LOAD,
};

#define PHASE_STOPPED 0u

void vhost_state_close(struct vhost_backend *backend) {
        if (backend->state_fd >= 0)
                close(backend->state_fd);
        backend->state_fd = -1;
}

/* Writes to what somebody else may have closed, and is not ended by that, whatever the program does with SIGPIPE. */
static ssize_t write_quietly(int fd, const void *data, size_t n) {
        sigset_t pipe, before;
        ssize_t k;
        int r;

        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, &before);
        k = vhost_write_now(fd, data, n);
        r = k < 0 ? -errno : 0;
        if (r == -EPIPE && !sigismember(&before, SIGPIPE))
                sigtimedwait(&pipe, NULL, &(const struct timespec) {});
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r < 0 ? r : k;
}

static int save(struct vhost_backend *backend, int fd) {
        uint8_t state[VHOST_STATE_MAX];
        size_t n = backend->device->get_state ? backend->device->get_state(backend->userdata, state) : 0;
        ssize_t k = n > 0 ? write_quietly(fd, state, n) : 0;

        if (k < 0)
                return (int) k;
        return (size_t) k == n ? 0 : -ENOSPC;
}

/* All of it, up to its end, which the front-end has seen to before it asks. */
static int load(struct vhost_backend *backend) {
        uint8_t untrusted_state[VHOST_STATE_MAX + 1];
        size_t n = 0;

        for (;;) {
                ssize_t k = vhost_read_now(backend->state_fd, untrusted_state + n, sizeof untrusted_state - n);

                if (k < 0 && errno != EINTR)
                        return -errno;
                if (k == 0)
                        break;
                n += k > 0 ? (size_t) k : 0;
                if (n > VHOST_STATE_MAX)
                        return -E2BIG;
        }
        if (n == 0 && !backend->device->set_state)
                return 0;
        return backend->device->set_state ? backend->device->set_state(backend->userdata, untrusted_state, n) : -EINVAL;
}

/* A pipe or a socket: of anything else a read or write could block. */
static int check_fd(int fd) {
        struct stat st;
        int flags;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode))
                return -EINVAL;
        flags = fcntl(fd, F_GETFL);
        return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

static int begin(struct vhost_backend *backend, struct vhost_message *message) {
        int r;

        for (uint16_t i = 0; i < backend->device->n_queues; i++)
                if (backend->queues[i].is_started)
                        return -EBUSY;  /* its state is one only while it is suspended */
        if (message->payload.state_transfer.phase != PHASE_STOPPED || message->payload.state_transfer.direction > DIRECTION_LOAD)
                return -EINVAL;
        r = check_fd(message->fds[0]);
        if (r < 0)
                return r;
        if (message->payload.state_transfer.direction == DIRECTION_SAVE)
                return save(backend, message->fds[0]);          /* whose end is closed with the message: that is the end of the state */
        backend->state_fd = vhost_message_take_fd(message, 0);
        return 0;
}

int vhost_do_set_device_state_fd(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        vhost_state_close(backend);
        backend->state_result = begin(backend, message);
        reply->payload.u64 = VHOST_STATE_NO_FD | (backend->state_result < 0 ? REPLY_FAILED : 0);
        reply->size = sizeof reply->payload.u64;
        return 0;
}

int vhost_do_check_device_state(struct vhost_backend *backend, struct vhost_message *message, struct vhost_message *reply) {
        if (backend->state_result >= 0 && backend->state_fd >= 0)
                backend->state_result = load(backend);
        vhost_state_close(backend);
        reply->payload.u64 = backend->state_result < 0 ? REPLY_FAILED : 0;
        reply->size = sizeof reply->payload.u64;
        return 0;
}
