/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A queue's thread. */

#include "worker.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "disk-counters.h"

enum {
        COMMAND_PARK,
        COMMAND_RUN,
        COMMAND_STOP,
        COMMAND_QUIT,
};

static void set(int fd) {
        const uint64_t one = 1;

        if (write(fd, &one, sizeof one) < 0)
                errno = 0;              /* full: it is set */
}

static void clear(int fd) {
        uint64_t n;

        if (read(fd, &n, sizeof n) < 0)
                errno = 0;              /* it was not set */
}

static uint64_t now_usec(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t) t.tv_sec * 1000000 + (uint64_t) t.tv_nsec / 1000;
}

static void count(struct worker *worker, const struct request *request) {
        static const enum disk_counter by_action[] = {
                [REQUEST_READ] = DISK_READS,     [REQUEST_WRITE] = DISK_WRITES,  [REQUEST_FLUSH] = DISK_FLUSHES,
                [REQUEST_PUNCH] = DISK_DISCARDS, [REQUEST_ZERO] = DISK_DISCARDS, [REQUEST_ANSWER] = DISK_OTHERS,
        };

        worker->counters[by_action[request->action]]++;
        if (request->status != VIRTIO_BLK_S_OK)
                worker->counters[DISK_ERRORS]++;
        else if (request->action == REQUEST_READ)
                worker->counters[DISK_READ_BYTES] += request->length;
        else if (request->action == REQUEST_WRITE)
                worker->counters[DISK_WRITTEN_BYTES] += request->length;
}

/* Returns whether there was anything to answer. */
static bool answer_ended(struct worker *worker) {
        struct request *request = io_take_ended(&worker->io), *next;

        if (!request)
                return false;
        for (; request; request = next) {
                next = request->next;
                count(worker, request);
                request_answer(request);
                vhost_ring_put(&worker->queue->ring, &request->chain, request->n_written);
                request->next = worker->free_requests;
                worker->free_requests = request;
        }
        vhost_queue_flush(worker->queue);
        return true;
}

/* Whatever the storage has to do is a request; bytes are those that are moved. */
static void charge(struct disk *disk, const struct request *request, uint64_t now) {
        bool has_bytes = request->action == REQUEST_READ || request->action == REQUEST_WRITE;

        if (request->action != REQUEST_ANSWER)
                rate_take(&disk->rate, has_bytes ? request->length : 0, now);
}

/* Whether another request may be begun. Once it is told to stop, only one that a process before this has left, and then whatever the rate is. */
static bool may_begin(const struct worker *worker, uint64_t now) {
        if (worker->command != COMMAND_RUN)
                return vhost_ring_has_left(&worker->queue->ring);
        return rate_wait(&worker->disk->rate, now) == 0;
}

/* Begins up to a batch, and answers what has ended by then. Returns how many, or -EPROTO: the ring is broken. */
static int begin_batch(struct worker *worker) {
        struct disk *disk = worker->disk;
        unsigned n;

        for (n = 0; n < PACE_BATCH && worker->free_requests; n++) {
                struct request *request;
                uint64_t now = now_usec();
                int r;

                if (pace_shows(&worker->pace, now))
                        answer_ended(worker);
                if (!may_begin(worker, now))
                        break;
                request = worker->free_requests;
                r = vhost_ring_take(&worker->queue->ring, request->iov, REQUEST_PIECES, &request->chain);
                if (r == 0)
                        break;
                if (r > 0)
                        r = request_parse(request, disk);
                if (r < 0)
                        return -EPROTO;
                worker->free_requests = request->next;
                charge(disk, request, now);
                io_start(&worker->io, request);
        }
        return (int) n;
}

/* Waits for what comes next, or just lets time pass. Returns whether the ring is to be looked at. */
static bool sleep_or_look(struct worker *worker, bool looks, bool broken) {
        struct vhost_queue *queue = worker->queue;
        uint64_t delay = UINT64_MAX;
        unsigned events;

        if (worker->command == COMMAND_RUN && looks && !broken) {
                uint64_t now = now_usec(), wait = rate_wait(&worker->disk->rate, now);

                if (wait > 0) {
                        delay = wait;
                        pace_forget(&worker->pace);
                } else if (pace_look(&worker->pace, now)) {
                        sched_yield();
                        pace_gave_way(&worker->pace, now_usec());
                        if (worker->io.n_in_flight > 0)
                                io_wait(&worker->io, -1, worker->wake_fd, false, 0);
                        return true;
                } else if (worker->free_requests) {
                        worker->asks_for_kicks = true;
                        if (vhost_ring_sleep(&queue->ring))
                                return true;
                }
        }
        events = io_wait(&worker->io, broken || delay != UINT64_MAX ? -1 : queue->kick_fd, worker->wake_fd, true, delay);
        if (events & IO_WAKE)
                clear(worker->wake_fd);
        if (events & IO_KICK)
                vhost_queue_clear_kick(queue);
        return looks || events & IO_KICK;
}

/* Takes requests, and answers those that have ended. Returns how many were taken, or -EPROTO. */
static int run_batch(struct worker *worker, bool looks) {
        bool has_answered;
        int n = 0;

        pace_begin(&worker->pace, now_usec());
        if (looks) {
                if (worker->asks_for_kicks)
                        vhost_ring_wake(&worker->queue->ring);
                worker->asks_for_kicks = false;
                n = begin_batch(worker);
        }
        has_answered = answer_ended(worker);
        if (n > 0 && worker->io.n_in_flight > 0) {
                io_wait(&worker->io, -1, worker->wake_fd, false, 0);
                answer_ended(worker);
        }
        if (n > 0 || has_answered)
                pace_came(&worker->pace);
        return n;
}

static void run_queue(struct worker *worker) {
        struct vhost_queue *queue = worker->queue;
        bool looks = queue->at_once, broken = false;

        worker->asks_for_kicks = true;
        pace_init(&worker->pace, worker->options->look_usec, worker->options->n_cpus);
        for (;;) {
                bool has_left = !broken && vhost_ring_has_left(&queue->ring);
                int n = run_batch(worker, (worker->command == COMMAND_RUN || has_left) && looks && !broken);

                if (n < 0) {
                        broken = true;
                        vhost_queue_fail(queue);
                }
                if (n > 0)
                        continue;
                if (worker->command != COMMAND_RUN && worker->io.n_in_flight == 0 && (broken || !vhost_ring_has_left(&queue->ring)))
                        break;
                looks = sleep_or_look(worker, looks, broken);
        }
        io_forget_kick(&worker->io);
}

static int take_requests(struct worker *worker, uint16_t n) {
        worker->requests = calloc(n, sizeof *worker->requests);
        if (!worker->requests)
                return -ENOMEM;
        worker->free_requests = NULL;
        for (uint16_t i = 0; i < n; i++) {
                worker->requests[i].next = worker->free_requests;
                worker->free_requests = &worker->requests[i];
        }
        return 0;
}

static void serve_queue(struct worker *worker) {
        const struct vhost_memory *memory = worker->options->want_pinned ? worker->queue->ring.setup.memory : NULL;
        uint16_t size = worker->queue->ring.setup.size;
        int r = take_requests(worker, size);

        if (r >= 0 && (!worker->options->want_uring || io_init(&worker->io, worker->disk, memory, size, true) < 0))
                r = io_init(&worker->io, worker->disk, NULL, size, false);
        if (r >= 0) {
                run_queue(worker);
                io_done(&worker->io);
        } else {
                vhost_queue_fail(worker->queue);
                while (worker->command == COMMAND_RUN) {
                        io_wait(&worker->io, -1, worker->wake_fd, true, UINT64_MAX);
                        clear(worker->wake_fd);
                }
        }
        free(worker->requests);
        worker->requests = worker->free_requests = NULL;
}

static void *thread_main(void *userdata) {
        struct worker *worker = userdata;

        for (;;) {
                unsigned command = worker->command;

                if (command == COMMAND_QUIT)
                        return NULL;
                if (command == COMMAND_PARK) {
                        io_wait(&worker->io, -1, worker->wake_fd, true, UINT64_MAX);
                        clear(worker->wake_fd);
                        continue;
                }
                /* Told to stop before it has begun: there may be something left to be done all the same. */
                if (command == COMMAND_RUN || vhost_ring_has_left(&worker->queue->ring))
                        serve_queue(worker);
                worker->command = COMMAND_PARK;
                worker->has_ended = true;
                set(worker->told_fd);
        }
}

int worker_init(struct worker *worker, struct disk *disk, const struct worker_options *options, _Atomic uint64_t *counters, int told_fd) {
        worker->disk = disk;
        worker->options = options;
        worker->counters = counters;
        worker->told_fd = told_fd;
        worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return worker->wake_fd < 0 ? -errno : 0;
}

static void command(struct worker *worker, unsigned what) {
        worker->command = what;
        set(worker->wake_fd);
}

void worker_done(struct worker *worker) {
        if (worker->has_thread) {
                command(worker, COMMAND_QUIT);
                pthread_join(worker->thread, NULL);
        }
        if (worker->wake_fd >= 0)
                close(worker->wake_fd);
}

int worker_start(struct worker *worker, struct vhost_queue *queue) {
        int r;

        worker->queue = queue;
        worker->has_ended = false;
        command(worker, COMMAND_RUN);
        if (worker->has_thread)
                return 0;
        r = pthread_create(&worker->thread, NULL, thread_main, worker);
        worker->has_thread = r == 0;
        return -r;
}

void worker_stop(struct worker *worker) {
        command(worker, COMMAND_STOP);
}

void worker_wake(struct worker *worker) {
        set(worker->wake_fd);
}

bool worker_take_ended(struct worker *worker) {
        return atomic_exchange(&worker->has_ended, false);
}
