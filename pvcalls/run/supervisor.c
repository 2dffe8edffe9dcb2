/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "door.h"

#define EVENTS 128
#define FIRST_MS 10000                  /* for the first program to come: it has started us */
#define ASK_AGAIN_MS 100                /* while somebody is at the door who does not come in */
#define LEAVING_MS 6000                 /* for what was written to be sent: as long as a backend takes at most */

static int epoll_add(struct supervisor *supervisor, int fd, void *source) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = source };

        return epoll_ctl(supervisor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static int open_all(struct supervisor *supervisor) {
        int r;

        supervisor->epoll = epoll_create1(EPOLL_CLOEXEC);
        supervisor->watches = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        supervisor->by_port = calloc(LOOPBACK_PORTS, sizeof *supervisor->by_port);
        if (supervisor->epoll < 0 || supervisor->watches < 0 || !supervisor->by_port)
                return -errno;
        r = loopback_open(&supervisor->loopback);
        if (r == 0)
                r = xcp_pvcalls_open(0, &supervisor->pvcalls);
        if (r < 0)
                return r;
        supervisor->device_source = SOURCE_DEVICE;
        supervisor->watches_source = SOURCE_WATCHES;
        supervisor->door_source = SOURCE_DOOR;
        r = epoll_add(supervisor, xcp_pvcalls_fd(supervisor->pvcalls), &supervisor->device_source);
        if (r == 0)
                r = epoll_add(supervisor, supervisor->watches, &supervisor->watches_source);
        if (r == 0)
                r = epoll_add(supervisor, supervisor->door, &supervisor->door_source);
        return r;
}

/* Says how the start went to whoever started it. */
static void say_ready(int ready, const char *text) {
        if (write(ready, text, strlen(text)) < 0)
                fprintf(stderr, "the one who started this has gone\n");
        close(ready);
}

static int start(struct supervisor *supervisor, int ready, int wait_ms) {
        char text[256];
        int r = open_all(supervisor);

        if (r < 0)
                snprintf(text, sizeof text, "cannot start: %s", strerrordesc_np(-r));
        if (r == 0) {
                r = xcp_pvcalls_wait(supervisor->pvcalls, wait_ms);
                if (r == -ETIMEDOUT && xcp_pvcalls_get_state(supervisor->pvcalls) == XCP_PVCALLS_ABSENT)
                        snprintf(text, sizeof text, "this domain has no PV Calls device (device/pvcalls/0): attach one");
                else if (r < 0)
                        snprintf(text, sizeof text, "no PV Calls backend has connected within %d ms", wait_ms);
        }
        if (r < 0)
                (void) unlink(supervisor->door_path);
        say_ready(ready, r < 0 ? text : "ok");
        if (r == 0)
                (void) flock(supervisor->lock, LOCK_UN);        /* else at the end, as with door_close() */
        return r;
}

static void program_add(struct supervisor *supervisor) {
        struct program *program = calloc(1, sizeof *program);

        if (!program)
                return;
        program->source = SOURCE_PROGRAM;
        program->listener = door_take(supervisor->door, &program->ranges);
        if (program->listener < 0 || epoll_add(supervisor, program->listener, program) < 0) {
                if (program->listener >= 0)
                        close(program->listener);
                free(program);
                return;
        }
        program->next = supervisor->programs;
        supervisor->programs = program;
}

/* Takes back the calls of a program that has ended: nobody waits for them. */
static void forget_calls(struct supervisor *supervisor, const struct program *program) {
        for (unsigned i = 0; i < CARRIED_BUCKETS; i++)
                for (struct carried *carried = supervisor->by_watch[i]; carried; carried = carried->next_watch)
                        for (struct call **link = &carried->calls, *call; (call = *link);) {
                                if (call->program != program) {
                                        link = &call->next;
                                        continue;
                                }
                                *link = call->next;
                                free(call);
                        }
}

static void program_end(struct supervisor *supervisor, struct program *program) {
        struct program **link = &supervisor->programs;

        carried_closings(supervisor);           /* all that its processes had is closed */
        forget_calls(supervisor, program);
        while (*link != program)
                link = &(*link)->next;
        *link = program->next;
        close(program->listener);
        free(program);
}

/* Hears of a call. Returns whether there may be more. */
static bool program_call(struct supervisor *supervisor, struct program *program) {
        struct seccomp_notif notification = {};
        struct call *call;

        if (ioctl(program->listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) < 0)
                return false;
        call = calloc(1, sizeof *call);
        if (!call) {
                (void) call_answer(program->listener, notification.id, -ENOMEM);
                return true;
        }
        call->program = program;
        call->id = notification.id;
        call->pid = (pid_t) notification.pid;
        call->data = notification.data;
        call->deadline_ms = INT64_MAX;
        carried_closings(supervisor);           /* what it has closed before the call, it expects to be closed */
        call_handle(supervisor, call);
        return true;
}

static void device_run(struct supervisor *supervisor) {
        struct xcp_pvcalls_socket *socket;

        if (xcp_pvcalls_dispatch(supervisor->pvcalls) < 0) {
                fprintf(stderr, "Xen's libraries have failed; nothing is carried any more\n");
                supervisor->ending = true;
                return;
        }
        while ((socket = xcp_pvcalls_next(supervisor->pvcalls))) {
                struct carried *carried = xcp_pvcalls_socket_userdata(socket);

                if (carried && !carried->dead)
                        connection_happened(carried);
        }
}

static void carried_event(struct carried *carried, uint32_t events) {
        if (carried->dead)
                return;
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                carried->readable = true;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                carried->writable = true;
        connection_run(carried);
}

static void event_run(struct supervisor *supervisor, const struct epoll_event *event) {
        enum source *source = event->data.ptr;

        switch (*source) {
        case SOURCE_DEVICE:
                device_run(supervisor);
                break;
        case SOURCE_WATCHES:
                carried_closings(supervisor);
                break;
        case SOURCE_DOOR:
                program_add(supervisor);
                break;
        case SOURCE_PROGRAM:
                if (event->events & EPOLLIN)
                        (void) program_call(supervisor, (struct program *) source);
                else if (event->events & (EPOLLHUP | EPOLLERR))
                        program_end(supervisor, (struct program *) source);
                break;
        case SOURCE_CARRIED:
                carried_event((struct carried *) source, event->events);
                break;
        }
}

/* Those that had more to do than their turn allowed. */
static void run_more(struct supervisor *supervisor) {
        struct carried *more = supervisor->more, *carried;

        supervisor->more = NULL;
        while ((carried = more)) {
                more = carried->next_more;
                carried->is_more = false;
                if (!carried->dead)
                        connection_run(carried);
        }
}

/* Of two times to wait, in milliseconds; -1 is for ever. */
static int sooner(int a, int b) {
        return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* As epoll_wait(2); before it sleeps, it looks for a moment, where that pays. */
static int wait_events(struct supervisor *supervisor, struct epoll_event events[EVENTS], int timeout_ms) {
        struct pollfd set = { .fd = supervisor->epoll, .events = POLLIN };
        int n = epoll_wait(supervisor->epoll, events, EVENTS, 0), r;

        if (n != 0 || timeout_ms == 0)
                return n;
        r = xcp_pvcalls_wait_fds(supervisor->pvcalls, &set, 1, timeout_ms);
        if (r > 0)
                return epoll_wait(supervisor->epoll, events, EVENTS, 0);
        errno = -r;
        return r < 0 ? -1 : 0;
}

static void loop(struct supervisor *supervisor) {
        struct epoll_event events[EVENTS];
        bool served = false;
        int look_ms = -1;

        while (!supervisor->ending) {
                bool idle = !supervisor->programs && supervisor->n_connections == 0;
                int n;

                if (idle && served && door_close(supervisor->door, supervisor->lock, supervisor->door_path))
                        return;
                n = wait_events(supervisor, events,
                                supervisor->more ? 0 : idle ? served ? ASK_AGAIN_MS : FIRST_MS : sooner(look_ms, timeouts_wait_ms(supervisor)));
                if (n < 0 && errno != EINTR)
                        return;
                served |= supervisor->programs || (idle && n == 0);     /* who started this and does not come is not waited for */
                for (int i = 0; i < n; i++)
                        event_run(supervisor, &events[i]);
                run_more(supervisor);
                look_ms = (int) carried_give_up(supervisor);
                timeouts_run(supervisor);
                carried_free_dead(supervisor);
        }
}

int supervisor_run(int door, int lock, const char *door_path, int ready, int wait_ms) {
        static struct supervisor supervisor;
        struct rlimit limit;
        int r;

        supervisor = (struct supervisor) { .door = door, .lock = lock, .door_path = door_path, .next_deadline_ms = INT64_MAX };
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {    /* a descriptor for each connection, and some for each event channel under emulated Xen */
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_NOFILE, &limit);
        }
        r = start(&supervisor, ready, wait_ms);
        if (r == 0)
                loop(&supervisor);
        xcp_pvcalls_close(supervisor.pvcalls, LEAVING_MS);
        return r;
}
