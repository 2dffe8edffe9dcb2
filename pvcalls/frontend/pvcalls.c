/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The device: opening, dispatching, waiting, closing. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "error.h"
#include "private.h"

#define PAGE_ORDER_DEFAULT 4u           /* 32 KiB each way: beyond, one core moves bytes no faster */
#define EVENTS_MAX 256                  /* of one dispatch: a backend that never stops sending events does not keep us in here */
#define CLOSE_MS 2000                   /* for the backend to let go of what it has */
#define OWN_FDS 4                       /* of the store, the event channels, a wake-up and a timer */

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int epoll_add(struct xcp_pvcalls *pvcalls, int fd) {
        struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

        return epoll_ctl(pvcalls->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void pvcalls_free(struct xcp_pvcalls *pvcalls) {
        while (pvcalls->sockets)
                socket_destroy(pvcalls->sockets);
        rings_close(&pvcalls->rings);
        store_close(&pvcalls->store);
        if (pvcalls->epoll >= 0)
                close(pvcalls->epoll);
        if (pvcalls->wake >= 0)
                close(pvcalls->wake);
        if (pvcalls->timer >= 0)
                close(pvcalls->timer);
        free(pvcalls->ports);
        waiting_deinit(&pvcalls->waiting);
        pthread_mutex_destroy(&pvcalls->lock);
        free(pvcalls);
}

static int pvcalls_start(struct xcp_pvcalls *pvcalls, unsigned device) {
        int r;

        pvcalls->epoll = epoll_create1(EPOLL_CLOEXEC);
        pvcalls->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        pvcalls->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (pvcalls->epoll < 0 || pvcalls->wake < 0 || pvcalls->timer < 0)
                return -errno;
        r = rings_open(&pvcalls->rings);
        if (r == 0)
                r = store_open(&pvcalls->store, device);
        if (r == 0)
                r = epoll_add(pvcalls, store_fd(&pvcalls->store));
        if (r == 0)
                r = epoll_add(pvcalls, xenevtchn_fd(pvcalls->rings.events));
        if (r == 0)
                r = epoll_add(pvcalls, pvcalls->wake);
        if (r == 0)
                r = epoll_add(pvcalls, pvcalls->timer);
        if (r == 0)
                link_follow(pvcalls);
        return r;
}

int xcp_pvcalls_open(unsigned device, struct xcp_pvcalls **ret_pvcalls) {
        struct xcp_pvcalls *pvcalls = calloc(1, sizeof *pvcalls);
        int r;

        if (!pvcalls)
                return -ENOMEM;
        pthread_mutex_init(&pvcalls->lock, NULL);
        waiting_init(&pvcalls->waiting, waiting_cpus());
        pvcalls->epoll = pvcalls->wake = pvcalls->timer = -1;
        pvcalls->ready_end = &pvcalls->ready;
        pvcalls->page_order = PAGE_ORDER_DEFAULT;
        requests_init(&pvcalls->requests);
        r = pvcalls_start(pvcalls, device);
        if (r < 0) {
                pvcalls_free(pvcalls);
                return r;
        }
        *ret_pvcalls = pvcalls;
        return 0;
}

int xcp_pvcalls_fd(struct xcp_pvcalls *pvcalls) {
        return pvcalls->epoll;
}

/* Takes all answers that are there. */
static int take_answers(struct xcp_pvcalls *pvcalls) {
        struct request *request;
        int32_t result;
        int r;

        do {
                while ((r = requests_take(&pvcalls->requests, &request, &result)) == 0)
                        answer_request(pvcalls, request, pvcalls_error_from_wire(result));
                if (r < 0)
                        return r;
        } while (command_ring_front_sleep(&pvcalls->requests.ring));
        sockets_flush(pvcalls);
        return 0;
}

static int take_events(struct xcp_pvcalls *pvcalls) {
        for (int i = 0; i < EVENTS_MAX; i++) {
                xenevtchn_port_or_error_t port = xenevtchn_pending(pvcalls->rings.events);

                if (port < 0)
                        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -EIO;
                xenevtchn_unmask(pvcalls->rings.events, (evtchn_port_t) port);
                if (pvcalls->page && (uint32_t) port == pvcalls->page_port) {
                        if (link_is_up(pvcalls) && take_answers(pvcalls) < 0)
                                atomic_store(&pvcalls->failed, true);
                } else if ((uint32_t) port < pvcalls->n_ports && pvcalls->ports[port]) {
                        socket_set_ready(pvcalls->ports[port]);
                }
        }
        return 0;
}

/* Takes what one of our descriptors has. Mostly that is an event, and a look at each of them would cost as much as the rest. */
static int take_ready(struct xcp_pvcalls *pvcalls, int fd, bool *ret_store) {
        uint64_t n_expired;
        eventfd_t count;

        if (fd == xenevtchn_fd(pvcalls->rings.events))
                return take_events(pvcalls);
        if (fd == pvcalls->timer && read(pvcalls->timer, &n_expired, sizeof n_expired) > 0)
                answer_rested(pvcalls);
        else if (fd == pvcalls->wake && !atomic_load(&pvcalls->ending))
                (void) eventfd_read(pvcalls->wake, &count);
        else if (fd == store_fd(&pvcalls->store))
                *ret_store = true;
        return 0;
}

int xcp_pvcalls_dispatch(struct xcp_pvcalls *pvcalls) {
        struct epoll_event events[OWN_FDS];
        bool store = false;
        int n, r = 0;

        pthread_mutex_lock(&pvcalls->lock);
        n = epoll_wait(pvcalls->epoll, events, OWN_FDS, 0);
        for (int i = 0; i < n; i++)
                r = take_ready(pvcalls, events[i].data.fd, &store) ?: r;
        link_renew(pvcalls);
        if (store || atomic_load(&pvcalls->failed)) {
                store_drain(&pvcalls->store);
                link_follow(pvcalls);
        }
        pthread_mutex_unlock(&pvcalls->lock);
        return r;
}

struct xcp_pvcalls_socket *xcp_pvcalls_next(struct xcp_pvcalls *pvcalls) {
        struct xcp_pvcalls_socket *socket;

        pthread_mutex_lock(&pvcalls->lock);
        socket = pvcalls->ready;
        if (socket) {
                pvcalls->ready = socket->next_ready;
                if (!pvcalls->ready)
                        pvcalls->ready_end = &pvcalls->ready;
                socket->next_ready = NULL;
                socket->is_ready = false;
        }
        pthread_mutex_unlock(&pvcalls->lock);
        return socket;
}

enum xcp_pvcalls_state xcp_pvcalls_get_state(struct xcp_pvcalls *pvcalls) {
        enum xcp_pvcalls_state state;

        pthread_mutex_lock(&pvcalls->lock);
        state = link_is_up(pvcalls) ? XCP_PVCALLS_CONNECTED : pvcalls->store.backend ? XCP_PVCALLS_WAITING : XCP_PVCALLS_ABSENT;
        pthread_mutex_unlock(&pvcalls->lock);
        return state;
}

unsigned xcp_pvcalls_get_epoch(struct xcp_pvcalls *pvcalls) {
        unsigned epoch;

        pthread_mutex_lock(&pvcalls->lock);
        epoch = pvcalls->epoch;
        pthread_mutex_unlock(&pvcalls->lock);
        return epoch;
}

int xcp_pvcalls_set_page_order(struct xcp_pvcalls *pvcalls, unsigned order) {
        if (order < 1 || order > PVCALLS_ORDER_MAX)
                return -EINVAL;
        pthread_mutex_lock(&pvcalls->lock);
        pvcalls->page_order = order;
        pthread_mutex_unlock(&pvcalls->lock);
        return 0;
}

/* Dispatches until done() says so. fd: another that wakes up, or -1. */
static int wait_for(struct xcp_pvcalls *pvcalls, bool (*done)(struct xcp_pvcalls *, void *), void *argument, int fd, int timeout_ms) {
        int64_t end = now_ms() + timeout_ms;

        while (!done(pvcalls, argument)) {
                struct pollfd fds[2] = { { .fd = pvcalls->epoll, .events = POLLIN }, { .fd = fd, .events = POLLIN } };
                int64_t left = timeout_ms < 0 ? -1 : end - now_ms();
                int r;

                if (timeout_ms >= 0 && left <= 0)
                        return -ETIMEDOUT;
                r = waiting_poll(&pvcalls->waiting, fds, 2, (int) left);
                if (r < 0 && r != -EINTR)
                        return r;
                r = xcp_pvcalls_dispatch(pvcalls);
                if (r < 0)
                        return r;
        }
        return 0;
}

int xcp_pvcalls_wait_fds(struct xcp_pvcalls *pvcalls, struct pollfd *fds, unsigned n, int timeout_ms) {
        return waiting_poll(&pvcalls->waiting, fds, n, timeout_ms);
}

static bool is_connected(struct xcp_pvcalls *pvcalls, void *argument) {
        return xcp_pvcalls_get_state(pvcalls) == XCP_PVCALLS_CONNECTED;
}

int xcp_pvcalls_wait(struct xcp_pvcalls *pvcalls, int timeout_ms) {
        return wait_for(pvcalls, is_connected, NULL, -1, timeout_ms);
}

static bool has_ended(struct xcp_pvcalls *pvcalls, void *argument) {
        return xcp_pvcalls_result(argument) != -EINPROGRESS;
}

int xcp_pvcalls_finish(struct xcp_pvcalls_socket *socket, int timeout_ms) {
        int fd = socket->pvcalls->has_thread ? xcp_pvcalls_socket_fd(socket) : -1;
        int r = wait_for(socket->pvcalls, has_ended, socket, fd, timeout_ms);

        return r < 0 ? r : xcp_pvcalls_result(socket);
}

int xcp_pvcalls_socket_fd(struct xcp_pvcalls_socket *socket) {
        int fd;

        pthread_mutex_lock(&socket->pvcalls->lock);
        fd = atomic_load(&socket->event_fd);
        if (fd < 0) {
                fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);    /* readable at first: it has not been looked at */
                if (fd < 0)
                        fd = -errno;
                else
                        atomic_store(&socket->event_fd, fd);
        }
        pthread_mutex_unlock(&socket->pvcalls->lock);
        return fd;
}

static void *thread_run(void *argument) {
        struct xcp_pvcalls *pvcalls = argument;
        struct pollfd wait = { .fd = pvcalls->epoll, .events = POLLIN };

        while (!atomic_load(&pvcalls->ending)) {
                int r = waiting_poll(&pvcalls->waiting, &wait, 1, -1);

                if (r < 0 && r != -EINTR)
                        break;
                if (xcp_pvcalls_dispatch(pvcalls) < 0)
                        break;
        }
        return NULL;
}

int xcp_pvcalls_start_thread(struct xcp_pvcalls *pvcalls) {
        int r;

        if (pvcalls->has_thread)
                return -EALREADY;
        pvcalls->has_thread = true;
        r = pthread_create(&pvcalls->thread, NULL, thread_run, pvcalls);
        if (r != 0)
                pvcalls->has_thread = false;
        return -r;
}

static void thread_end(struct xcp_pvcalls *pvcalls) {
        if (!pvcalls->has_thread)
                return;
        atomic_store(&pvcalls->ending, true);
        (void) eventfd_write(pvcalls->wake, 1);
        pthread_join(pvcalls->thread, NULL);
        atomic_store(&pvcalls->ending, false);
        pvcalls->has_thread = false;
}

/* What is left then are ACCEPTs that will not be answered. */
static bool has_released(struct xcp_pvcalls *pvcalls, void *argument) {
        const struct xcp_pvcalls_socket *socket = pvcalls->sockets;

        while (socket && socket->kind == SOCKET_PARKED)
                socket = socket->next;
        return !socket || !link_is_up(pvcalls);
}

static bool has_closed(struct xcp_pvcalls *pvcalls, void *argument) {
        return pvcalls->view.own == XENBUS_CLOSED || pvcalls->view.own == XENBUS_UNKNOWN;
}

/* One that its user still has. Those that wait to be accepted go with their listener. */
static struct xcp_pvcalls_socket *find_used(const struct xcp_pvcalls *pvcalls) {
        struct xcp_pvcalls_socket *socket = pvcalls->sockets;

        while (socket && (socket->released || socket->is_waiting || socket->kind == SOCKET_PARKED))
                socket = socket->next;
        return socket;
}

struct xcp_pvcalls *xcp_pvcalls_close(struct xcp_pvcalls *pvcalls, int timeout_ms) {
        struct xcp_pvcalls_socket *socket;

        if (!pvcalls)
                return NULL;
        thread_end(pvcalls);
        while ((socket = find_used(pvcalls)))
                socket_release(socket);
        sockets_flush(pvcalls);
        (void) wait_for(pvcalls, has_released, NULL, -1, timeout_ms);
        pvcalls->view.leaving = true;
        link_follow(pvcalls);
        (void) wait_for(pvcalls, has_closed, NULL, -1, CLOSE_MS);
        pvcalls_free(pvcalls);
        return NULL;
}
