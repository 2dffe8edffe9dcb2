/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A guest's life, and its turns.
 *
 * All sockets and the event channels are in one epoll of our own. Most of the time there is nothing else to do, so that it is there that the
 * process sleeps: the service's loop has an epoll as well, and to go through both for each wake-up would double the calls. The loop's is in
 * ours, and whenever it has something a turn ends, after the round in which that was seen. A round takes what there is, runs commands and
 * then each socket once.
 */

#include "guest.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "error.h"
#include "guest-join.h"
#include "guest-private.h"

#define ROUND_EVENTS 64                 /* sockets taken from the epoll in a round */
#define ROUND_PORTS 256u                /* events taken from the guest in a round */
#define TIMER_ACCURACY_USEC 10000u

void guest_violated(struct guest *guest, const char *reason) {
        if (guest->violation)
                return;
        guest->violation = reason;
        guest->terms->counters.violations++;
}

void guest_respond_with(struct guest *guest, const struct pvcalls_response *response) {
        if (command_ring_back_put(&guest->ring, response))
                guest->notify_due = true;
}

void guest_respond(struct guest *guest, uint32_t cmd, uint32_t req_id, uint64_t id, int32_t number) {
        const struct pvcalls_response response = { .req_id = req_id, .cmd = cmd, .ret = number, .id = id };

        guest_respond_with(guest, &response);
}

uint64_t guest_now(struct guest *guest) {
        if (guest->now == 0)
                guest->now = now_usec();
        return guest->now;
}

int guest_watch_fd(struct guest *guest, struct socket *socket, int fd, int op, uint32_t events) {
        struct epoll_event event = { .events = events, .data.ptr = socket };

        return epoll_ctl(guest->epoll, op, fd, &event) < 0 ? -errno : 0;
}

int guest_watch(struct guest *guest, struct socket *socket, int op, uint32_t events) {
        return guest_watch_fd(guest, socket, socket->fd, op, events);
}

void guest_set_timer(struct guest *guest) {
        uint64_t now = now_usec(), at = UINT64_MAX;

        if (guest->closing)
                at = guest->closing->linger_until;
        if (guest->queue && guest->terms->limits.bytes_per_second > 0) {
                uint64_t filled = now + rate_wait(&guest->terms->bytes_rate, 64 * 1024, now);

                at = filled < at ? filled : at;
        }
        if (guest->n_ports_missing > 0 && now + TIMER_ACCURACY_USEC < at)
                at = now + TIMER_ACCURACY_USEC;
        sd_event_source_set_time(guest->timer, at);
        sd_event_source_set_enabled(guest->timer, at == UINT64_MAX ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
        guest->loop_due = true;         /* it is the loop that sets timers */
}

/*
 * Events of ports: masked from here until whoever they are for has its turn, which bounds what a guest that sends many can cost.
 *
 * To ask whether there is another costs as much as to take one, and mostly there is none: more than one is taken only if the round before has
 * left some.
 */
static void take_events(struct guest *guest) {
        unsigned max = guest->n_events_max;

        guest->n_events_max = max * 4 < ROUND_PORTS ? max * 4 : ROUND_PORTS;
        for (unsigned i = 0; i < max; i++) {
                int port = xenevtchn_pending(guest->xen->events);
                struct socket *socket;

                if (port <= 0)
                        return;
                guest->terms->counters.events++;
                if ((uint32_t) port == guest->port) {
                        guest->commands_due = guest->commands_masked = true;
                        continue;
                }
                socket = (uint32_t) port < guest->n_ports ? guest->ports[port] : NULL;
                if (!socket) {          /* it was unbound meanwhile, or is kept */
                        guest_mask_kept(guest, (uint32_t) port);
                        continue;
                }
                if ((uint32_t) port == socket->attachment.port)
                        socket->masked = true;
                else
                        socket->masked_other = (uint32_t) port;
                guest_enqueue(socket);
        }
}

static void take_socket(struct socket *socket, uint32_t events) {
        if (socket->fd < 0 && !socket->join)    /* closed in this round */
                return;
        switch (socket->state) {
        case SOCKET_CONNECTING:
                if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
                        guest_connect_ready(socket, events);
                break;
        case SOCKET_LISTENING:
                guest_listen_ready(socket);
                break;
        case SOCKET_CONNECTED:
        case SOCKET_CLOSING:
                if (socket->join) {
                        guest_join_ready(socket);
                        break;
                }
                stream_ready(&socket->stream, events);
                guest_enqueue(socket);
                break;
        default:
                break;
        }
}

static void run_commands(struct guest *guest) {
        struct pvcalls_request request;
        int r = 0;

        if (guest->commands_masked)
                xenevtchn_unmask(guest->xen->events, guest->port);
        guest->commands_due = guest->commands_masked = false;
        for (unsigned i = 0; i < PVCALLS_SLOTS && !guest->violation; i++) {
                r = command_ring_back_take(&guest->ring, &request);
                if (r == COMMAND_RING_EMPTY && !command_ring_back_sleep(&guest->ring))
                        return;
                if (r < 0)
                        guest_violated(guest, "the command ring's req_prod is more than its size from the responses");
                else if (r == 0)
                        guest_execute(guest, &request);
        }
        guest->commands_due = true;     /* more than a ring's worth at once: after the others */
}

static void free_freed(struct guest *guest) {
        while (guest->freed) {
                struct socket *socket = guest->freed;

                guest->freed = socket->next_freed;
                free(socket);
        }
}

/* Something has come that was waited for. */
static void end_wait(struct guest *guest) {
        if (guest->idle_since > 0)
                spin_tell(&guest->spin, now_usec() - guest->idle_since);
        guest->idle_since = 0;
}

/* Looks at the epoll, and waits there for so long. Returns how many of the guest's descriptors had something. */
static int take_ready(struct guest *guest, int timeout_ms) {
        struct epoll_event events[ROUND_EVENTS];
        int n = epoll_wait(guest->epoll, events, ROUND_EVENTS, timeout_ms), n_taken = 0;
        bool ports = false;

        guest->now = 0;
        for (int i = 0; i < n; i++) {
                if (events[i].data.ptr == guest) {
                        guest->loop_due = true;
                        continue;
                }
                if (n_taken++ == 0)
                        end_wait(guest);
                if (events[i].data.ptr == NULL)
                        ports = true;
                else
                        take_socket(events[i].data.ptr, events[i].events);
        }
        if (ports)
                take_events(guest);
        else
                guest->n_events_max = 1;
        return n_taken;
}

static void tell_of_responses(struct guest *guest) {
        if (!guest->notify_due)
                return;
        guest->notify_due = false;
        guest->terms->counters.notifications++;
        xen_notify(guest->xen, guest->port);
}

/* Returns whether something was done, and more may be there. */
static bool run_round(struct guest *guest, int timeout_ms) {
        int n = take_ready(guest, timeout_ms);
        bool busy;

        if (n == 0 && timeout_ms < 0)   /* what the service's loop has is all that there is */
                return false;
        if (guest->commands_due && !guest->violation)
                run_commands(guest);
        busy = guest_run_queue(guest) || guest->commands_due;
        if (guest->connects_begun)      /* one more look, and the guest is woken up once for all of it */
                busy = true;
        else
                tell_of_responses(guest);
        guest->connects_begun = false;
        if (guest->timer_due) {
                guest->timer_due = false;
                if (guest->closing)     /* those that could be closed at once are gone again */
                        guest_set_timer(guest);
        }
        free_freed(guest);
        return busy || (n > 0 && guest->spin.max_usec > 0);     /* with one CPU, nobody has done anything meanwhile */
}

/* Whether this process had to give up its CPU to others since the last time. */
static bool was_preempted(struct guest *guest) {
        long before = guest->n_preempted;
        struct rusage usage;

        if (getrusage(RUSAGE_SELF, &usage) == 0)
                guest->n_preempted = usage.ru_nivcsw;
        return guest->n_preempted != before;
}

/* Looks for more for a while, as to sleep and to be woken takes longer. Returns whether some came. */
static bool spin(struct guest *guest) {
        uint64_t end;
        bool paid = false;

        if (guest->spin.max_usec == 0)
                return false;
        if (guest->idle_since == 0)
                guest->idle_since = now_usec();
        if (spin_next(&guest->spin) == 0)
                return false;
        end = guest->idle_since + spin_next(&guest->spin);
        while (!paid && !guest->loop_due && !guest->violation && now_usec() < end)
                paid = run_round(guest, 0);
        if (was_preempted(guest))
                spin_tell_crowded(&guest->spin);
        return paid;
}

static void end_turns(struct guest *guest) {
        sd_event_source_set_enabled(guest->turns, SD_EVENT_OFF);
        sd_event_source_set_enabled(guest->timer, SD_EVENT_OFF);
        guest->listener->violated(guest->violation, guest->userdata);
}

/* Runs, looks and sleeps until the service's loop has something to do. */
static int on_turn(sd_event_source *source, void *userdata) {
        struct guest *guest = userdata;

        guest->loop_due = false;
        while (!guest->loop_due && !guest->violation) {
                if (!guest->busy)
                        guest->busy = spin(guest);
                if (guest->loop_due || guest->violation)
                        break;
                guest->busy = run_round(guest, guest->busy ? 0 : -1);
        }
        if (guest->violation)
                end_turns(guest);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct guest *guest = userdata;

        guest_end_lingering(guest, now_usec());
        guest_join_rebind(guest);
        guest_set_timer(guest);
        guest->busy = true;
        return 0;
}

static int map_ring(struct guest *guest, const struct guest_offer *offer) {
        void *page;
        int r;

        r = xen_map(guest->xen, &offer->ring_ref, 1, &page);
        if (r < 0)
                return r;
        guest->page = page;
        command_ring_back_init(&guest->ring, guest->page);
        r = xen_bind(guest->xen, offer->port, &guest->port);
        if (r < 0)
                return r;
        guest->bound = true;
        guest->commands_due = true;     /* there may be some already */
        return 0;
}

static int add_sources(struct guest *guest) {
        struct epoll_event ports = { .events = EPOLLIN }, loop = { .events = EPOLLIN, .data.ptr = guest };
        int r;

        guest->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (guest->epoll < 0 || epoll_ctl(guest->epoll, EPOLL_CTL_ADD, xenevtchn_fd(guest->xen->events), &ports) < 0 ||
            epoll_ctl(guest->epoll, EPOLL_CTL_ADD, sd_event_get_fd(guest->event), &loop) < 0)
                return -errno;
        r = sd_event_add_defer(guest->event, &guest->turns, on_turn, guest);
        if (r >= 0)
                r = sd_event_source_set_priority(guest->turns, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(guest->turns, SD_EVENT_ON);
        if (r >= 0)
                r = sd_event_add_time(guest->event, &guest->timer, CLOCK_MONOTONIC, UINT64_MAX, TIMER_ACCURACY_USEC, on_timer, guest);
        if (r >= 0)
                r = sd_event_source_set_enabled(guest->timer, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

static void start_spinning(struct guest *guest) {
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        if (sched_getaffinity(0, sizeof cpus, &cpus) == 0)
                spin_init(&guest->spin, guest->terms->spin_usec, (unsigned) CPU_COUNT(&cpus));
}

static int make_table(struct guest *guest) {
        if (getrandom(&guest->key, sizeof guest->key, 0) != sizeof guest->key)
                return -EIO;
        guest->n_buckets = 64;
        while (guest->n_buckets < guest->terms->limits.sockets && guest->n_buckets < 65536)
                guest->n_buckets *= 2;
        guest->buckets = calloc(guest->n_buckets, sizeof *guest->buckets);
        return guest->buckets ? 0 : -ENOMEM;
}

int guest_new(struct guest **ret_guest, sd_event *event, struct xen *xen, struct guest_terms *terms, const struct guest_offer *offer,
              const struct guest_listener *listener, void *userdata) {
        __attribute__((cleanup(guest_freep))) struct guest *guest = calloc(1, sizeof *guest);
        int r;

        if (!guest)
                return -ENOMEM;
        *guest = (struct guest) {
                .event = sd_event_ref(event),
                .xen = xen,
                .terms = terms,
                .listener = listener,
                .userdata = userdata,
                .suppress = offer->suppress,
                .epoll = -1,
                .n_events_max = 1,
                .busy = true,           /* there may be commands already */
        };
        guest->queue_tail = &guest->queue;
        guest->closing_tail = &guest->closing;
        start_spinning(guest);
        r = make_table(guest);
        if (r == 0)
                r = add_sources(guest);
        if (r == 0)
                r = map_ring(guest, offer);
        if (r < 0)
                return r;
        terms->counters.connections++;
        *ret_guest = guest;
        guest = NULL;
        return 0;
}

static void free_sockets(struct guest *guest) {
        for (uint32_t i = 0; guest->buckets && i < guest->n_buckets; i++)
                while (guest->buckets[i])
                        socket_free(guest->buckets[i]);
        free_freed(guest);
        guest_forget_kept(guest);
        free(guest->buckets);
        free(guest->ports);
}

struct guest *guest_free(struct guest *guest) {
        if (!guest)
                return NULL;
        free_sockets(guest);
        if (guest->bound)
                xen_unbind(guest->xen, guest->port);
        if (guest->page)
                xen_unmap(guest->xen, guest->page, 1);
        sd_event_source_disable_unref(guest->turns);
        sd_event_source_disable_unref(guest->timer);
        if (guest->epoll >= 0)
                close(guest->epoll);
        sd_event_unref(guest->event);
        free(guest);
        return NULL;
}
