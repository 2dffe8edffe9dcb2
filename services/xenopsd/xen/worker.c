/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <xenstore.h>

#define THREADS 6u                      /* at once: what takes longest is hashing and copying kernels, and waiting for guests to save */

struct workers {
        pthread_mutex_t mutex;
        pthread_cond_t added;
        struct work *waiting, *done;
        const void *busy[THREADS];      /* the lane that each thread works in */
        pthread_t threads[THREADS];
        unsigned n_threads;
        bool is_over;
        int fd;                         /* something is done */
        sd_event_source *source;
};

struct worker {
        struct workers *workers;
        unsigned number;
};

static void append(struct work **list, struct work *work) {
        work->next = NULL;
        while (*list)
                list = &(*list)->next;
        *list = work;
}

static bool is_busy(const struct workers *workers, const void *lane) {
        for (unsigned i = 0; i < THREADS; i++)
                if (lane && workers->busy[i] == lane)
                        return true;
        return false;
}

/* The first whose lane is free, which it is not any more. */
static struct work *take(struct workers *workers, unsigned number) {
        for (struct work **p = &workers->waiting; *p; p = &(*p)->next)
                if (!is_busy(workers, (*p)->lane)) {
                        struct work *work = *p;

                        *p = work->next;
                        workers->busy[number] = work->lane;
                        return work;
                }
        return NULL;
}

/* With the lock held, before and after. Without a context, run() says so. */
static void do_one(struct workers *workers, unsigned number, struct work *work, const struct worker_tools *tools,
                   struct xen_logger *logger) {
        static const uint64_t one = 1;

        pthread_mutex_unlock(&workers->mutex);
        if (tools->ctx)
                xen_logger_begin(logger, work->why);
        else
                snprintf(work->why, sizeof work->why, "libxl cannot be used");
        work->run(work, tools);
        if (tools->ctx)
                xen_logger_begin(logger, NULL);
        pthread_mutex_lock(&workers->mutex);
        workers->busy[number] = NULL;
        append(&workers->done, work);
        pthread_cond_broadcast(&workers->added);        /* for those behind it in its lane */
        if (write(workers->fd, &one, sizeof one) < 0) {
                /* It is full: then the loop knows. */
        }
}

static void *worker_main(void *userdata) {
        struct worker *worker = userdata;
        struct workers *workers = worker->workers;
        struct worker_tools tools = { NULL, NULL };
        struct xen_logger *logger = NULL;
        struct work *work;

        pthread_mutex_lock(&workers->mutex);
        while (!workers->is_over) {
                work = take(workers, worker->number);
                if (!work) {
                        pthread_cond_wait(&workers->added, &workers->mutex);
                        continue;
                }
                if (!tools.ctx) {
                        pthread_mutex_unlock(&workers->mutex);
                        if (!tools.store)
                                tools.store = xs_open(0);
                        if (tools.store && xen_context_new(&tools.ctx, &logger, true) < 0)
                                tools.ctx = NULL;
                        pthread_mutex_lock(&workers->mutex);
                }
                do_one(workers, worker->number, work, &tools, logger);
        }
        pthread_mutex_unlock(&workers->mutex);
        if (tools.ctx)
                xen_context_free(tools.ctx, logger);
        if (tools.store)
                xs_close(tools.store);
        free(worker);
        return NULL;
}

static void end_all(struct workers *workers) {
        struct work *done;

        pthread_mutex_lock(&workers->mutex);
        done = workers->done;
        workers->done = NULL;
        pthread_mutex_unlock(&workers->mutex);
        while (done) {
                struct work *work = done;

                done = work->next;
                work->end(work);
        }
}

static int on_done(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        uint64_t n;

        if (read(fd, &n, sizeof n) < 0)
                return 0;
        end_all(userdata);
        return 0;
}

static int start(struct workers *workers) {
        struct worker *worker = malloc(sizeof *worker);
        int r;

        if (!worker)
                return -ENOMEM;
        *worker = (struct worker) { workers, workers->n_threads };
        r = pthread_create(workers->threads + workers->n_threads, NULL, worker_main, worker);
        if (r != 0) {
                free(worker);
                return -r;
        }
        workers->n_threads++;
        return 0;
}

/* Signals are for the event loop. Only that of children may come to any thread, as libxl wants it. */
static int start_all(struct workers *workers) {
        sigset_t all, before;
        int r = 0;

        sigfillset(&all);
        sigdelset(&all, SIGCHLD);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        while (workers->n_threads < THREADS && r >= 0)
                r = start(workers);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return r;
}

int workers_new(struct workers **ret_workers, sd_event *event) {
        struct workers *workers = calloc(1, sizeof *workers);
        int r;

        if (!workers)
                return -ENOMEM;
        pthread_mutex_init(&workers->mutex, NULL);
        pthread_cond_init(&workers->added, NULL);
        workers->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        r = workers->fd < 0 ? -errno : sd_event_add_io(event, &workers->source, workers->fd, EPOLLIN, on_done, workers);
        if (r >= 0)
                r = start_all(workers);
        if (r < 0) {
                workers_free(workers);
                return r;
        }
        *ret_workers = workers;
        return 0;
}

struct workers *workers_free(struct workers *workers) {
        if (!workers)
                return NULL;
        pthread_mutex_lock(&workers->mutex);
        workers->is_over = true;
        pthread_cond_broadcast(&workers->added);
        pthread_mutex_unlock(&workers->mutex);
        for (unsigned i = 0; i < workers->n_threads; i++)
                pthread_join(workers->threads[i], NULL);
        end_all(workers);
        while (workers->waiting) {
                struct work *work = workers->waiting;

                workers->waiting = work->next;
                work->end(work);
        }
        sd_event_source_disable_unref(workers->source);
        if (workers->fd >= 0)
                close(workers->fd);
        pthread_cond_destroy(&workers->added);
        pthread_mutex_destroy(&workers->mutex);
        free(workers);
        return NULL;
}

void workers_add(struct workers *workers, struct work *work) {
        pthread_mutex_lock(&workers->mutex);
        append(&workers->waiting, work);
        pthread_cond_signal(&workers->added);
        pthread_mutex_unlock(&workers->mutex);
}

bool workers_take_back(struct workers *workers, struct work *work) {
        bool is_there = false;

        pthread_mutex_lock(&workers->mutex);
        for (struct work **p = &workers->waiting; *p; p = &(*p)->next)
                if (*p == work) {
                        *p = work->next;
                        is_there = true;
                        break;
                }
        pthread_mutex_unlock(&workers->mutex);
        return is_there;
}
