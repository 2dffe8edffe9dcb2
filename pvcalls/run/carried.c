/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which sockets are carried. One is known by its inode, whatever descriptors programs have for it. That the last of them was closed is told by
 * inotify; holding one ourselves would keep it open.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "supervisor.h"

#define LINGER_MS 5000
#define LOOK_MS 1000                    /* between two looks at whether a peer still takes something */

ino_t inode_of(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) ? st.st_ino : 0;
}

struct carried *carried_find(struct supervisor *supervisor, ino_t inode) {
        struct carried *carried = inode != 0 ? supervisor->by_inode[inode % CARRIED_BUCKETS] : NULL;

        while (carried && carried->inode != inode)
                carried = carried->next_inode;
        return carried;
}

struct carried *carried_new(struct supervisor *supervisor) {
        struct carried *carried = calloc(1, sizeof *carried);

        if (carried) {
                carried->source = SOURCE_CARRIED;
                carried->supervisor = supervisor;
                carried->watch = carried->fd = carried->spare = -1;
        }
        return carried;
}

/* It is the program's socket that fd is a descriptor of. */
int carried_adopt(struct carried *carried, int fd) {
        struct supervisor *supervisor = carried->supervisor;
        struct carried **bucket;
        char path[40];

        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        carried->watch = inotify_add_watch(supervisor->watches, path, IN_CLOSE);
        if (carried->watch < 0)
                return errno == ENOSPC ? -ENFILE : -errno;      /* fs.inotify.max_user_watches */
        carried->inode = inode_of(fd);
        bucket = &supervisor->by_inode[carried->inode % CARRIED_BUCKETS];
        carried->next_inode = *bucket;
        *bucket = carried;
        bucket = &supervisor->by_watch[(unsigned) carried->watch % CARRIED_BUCKETS];
        carried->next_watch = *bucket;
        *bucket = carried;
        return 0;
}

/* The program's socket is no longer this. */
static void forget(struct carried *carried) {
        struct supervisor *supervisor = carried->supervisor;
        struct carried **link;

        if (carried->watch < 0)
                return;
        for (link = &supervisor->by_inode[carried->inode % CARRIED_BUCKETS]; *link != carried; link = &(*link)->next_inode)
                ;
        *link = carried->next_inode;
        for (link = &supervisor->by_watch[(unsigned) carried->watch % CARRIED_BUCKETS]; *link != carried; link = &(*link)->next_watch)
                ;
        *link = carried->next_watch;
        (void) inotify_rm_watch(supervisor->watches, carried->watch);
        carried->watch = -1;
        carried->inode = 0;
}

void carried_wait(struct carried *carried, struct call *call) {
        struct call **end = &carried->calls;

        while (*end)
                end = &(*end)->next;
        call->next = NULL;
        call->started = true;
        *end = call;
}

/* Lets go of what it has of the backend, and of the loopback. */
void carried_release(struct carried *carried) {
        if (carried->fd >= 0) {
                close(carried->fd);
                carried->supervisor->n_connections--;
        }
        carried->fd = -1;
        carried->socket = xcp_pvcalls_socket_release(carried->socket);
}

void carried_refuse(struct carried *connection) {
        connection->socket = xcp_pvcalls_socket_reset(connection->socket);
        carried_end(connection);
}

void carried_refuse_all(struct carried *listener) {
        struct supervisor *supervisor = listener->supervisor;

        while (listener->spares) {
                struct carried *connection = listener->spares;

                listener->spares = connection->next_spare;
                carried_refuse(connection);
        }
        for (unsigned port = 0; port < LOOPBACK_PORTS; port++)
                if (supervisor->by_port[port] && supervisor->by_port[port]->listener == listener)
                        carried_refuse(supervisor->by_port[port]);
}

void carried_end(struct carried *carried) {
        struct supervisor *supervisor = carried->supervisor;

        struct carried *left;

        if (carried->dead)
                return;
        forget(carried);
        left = shared_leave(carried);
        carried_release(carried);
        if (carried->listener) {
                supervisor->by_port[carried->own_port] = NULL;
                carried->listener->n_delivered--;
        }
        if (carried->spare >= 0)
                close(carried->spare);
        if (carried->kind == CARRIED_LISTENING)
                carried_refuse_all(carried);
        carried->dead = true;
        carried->next_dead = supervisor->dead;
        supervisor->dead = carried;
        calls_retry(carried);
        if (left)
                listener_deliver(left);         /* what came to one that could not take it, such as one that did not listen */
}

void carried_free_dead(struct supervisor *supervisor) {
        struct carried **link = &supervisor->more, *carried;

        while (*link)
                if ((*link)->dead)
                        *link = (*link)->next_more;
                else
                        link = &(*link)->next_more;
        while ((carried = supervisor->dead)) {
                supervisor->dead = carried->next_dead;
                free(carried->peers);
                free(carried->held);
                free(carried);
        }
}

static int64_t now_ms(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/*
 * Ends connections that programs have closed and whose peers have taken nothing for a while: as long as a backend waits after RELEASE. Returns
 * how many milliseconds later this should be asked again; -1: there are none.
 */
int64_t carried_give_up(struct supervisor *supervisor) {
        struct carried **link = &supervisor->closed, *carried;

        while ((carried = *link)) {
                if (!carried->dead && carried->n_out != carried->n_out_before) {
                        carried->n_out_before = carried->n_out;
                        carried->give_up_ms = now_ms() + LINGER_MS;
                }
                if (!carried->dead && now_ms() >= carried->give_up_ms)
                        connection_abort(carried, false);
                if (carried->dead)
                        *link = carried->next_closed;
                else
                        link = &carried->next_closed;
        }
        return supervisor->closed ? LOOK_MS : -1;
}

static void closed(struct carried *carried) {
        carried->closed = true;
        if (carried->kind == CARRIED_CONNECTED && carried->fd >= 0) {
                forget(carried);
                connection_run(carried);        /* what the program has written is still delivered */
                if (carried->dead || carried->datagrams)
                        return;
                carried->give_up_ms = now_ms() + LINGER_MS;
                carried->next_closed = carried->supervisor->closed;
                carried->supervisor->closed = carried;
        } else {
                carried_end(carried);
        }
}

void carried_closings(struct supervisor *supervisor) {
        struct inotify_event events[64];
        ssize_t n;

        while ((n = read(supervisor->watches, events, sizeof events)) > 0)
                for (size_t i = 0; i < (size_t) n / sizeof events[0]; i++) {    /* events of what is no directory have no name behind them */
                        struct carried *carried = supervisor->by_watch[(unsigned) events[i].wd % CARRIED_BUCKETS];

                        while (carried && carried->watch != events[i].wd)
                                carried = carried->next_watch;
                        if (carried && events[i].mask & IN_CLOSE)
                                closed(carried);
                }
}
