/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "door.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <xenstore.h>

#include "target.h"

#define HAND_OVER_MS 30000              /* a supervisor is never busy for so long */

char *door_directory(void) {
        const char *rundir = getenv("XCP_RUNDIR") ?: "/run/xcpbus";
        struct xs_handle *xs = xs_open(0);
        unsigned n;
        char *domid = xs ? xs_read(xs, XBT_NULL, "domid", &n) : NULL, *path = NULL;

        if (!domid)
                errno = ENXIO;
        else if (asprintf(&path, "%s/dom%.8s", rundir, domid) < 0)
                path = NULL;
        free(domid);
        if (xs)
                xs_close(xs);
        if (!path)
                return NULL;
        (void) mkdir(rundir, 0755);
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                free(path);
                return NULL;
        }
        return path;
}

static int address_make(const char *path, struct sockaddr_un *ret_address) {
        *ret_address = (struct sockaddr_un) { .sun_family = AF_UNIX };
        if (strlen(path) >= sizeof ret_address->sun_path)
                return -ENAMETOOLONG;
        strcpy(ret_address->sun_path, path);
        return 0;
}

/* Takes the lock of a place: one at a time comes in, makes it, or closes it. */
static int lock_take(const char *path, bool wait) {
        char lock_path[256];
        int fd;

        snprintf(lock_path, sizeof lock_path, "%s.lock", path);
        fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | (wait ? 0 : LOCK_NB)) < 0) {
                close(fd);
                return -EBUSY;
        }
        return fd;
}

static int door_make(const struct sockaddr_un *address) {
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        (void) unlink(address->sun_path);       /* of one that was killed: it does not answer */
        if (bind(fd, (const struct sockaddr *) address, sizeof *address) < 0 || chmod(address->sun_path, 0600) < 0 || listen(fd, 64) < 0) {
                int r = -errno;

                close(fd);
                return r;
        }
        return fd;
}

int door_find(const char *path, int *ret_lock, int *ret_door) {
        struct sockaddr_un address;
        int fd, lock, r = address_make(path, &address);

        if (r < 0)
                return r;
        lock = lock_take(path, true);
        if (lock < 0)
                return lock;
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, (struct sockaddr *) &address, sizeof address) == 0) {
                close(lock);
                return fd;
        }
        if (fd >= 0)
                close(fd);
        r = door_make(&address);
        if (r < 0) {
                close(lock);
                return r;
        }
        *ret_door = r;
        *ret_lock = lock;
        return 0;
}

/* What a program says at the door. The listener is fetched, and not sent: the filter that it is of may have sendmsg(2) wait for us. */
struct visit {
        int listener;                   /* the number that it has there */
        struct ranges ranges;
};

int door_hand_over(int connection, int listener, const struct ranges *ranges) {
        struct visit visit = { .listener = listener, .ranges = *ranges };
        struct pollfd answer = { .fd = connection, .events = POLLIN };
        char ok;

        if (send(connection, &visit, sizeof visit, MSG_NOSIGNAL) < 0)
                return -errno;
        if (poll(&answer, 1, HAND_OVER_MS) <= 0)
                return -ETIMEDOUT;
        return recv(connection, &ok, 1, 0) == 1 ? 0 : -ECONNRESET;
}

/* Fetches the listener of who is at this end. It still is when that is done, so that its process number was nobody else's. */
static int fetch(int connection, const struct visit *visit) {
        struct pollfd there = { .fd = connection, .events = POLLIN };
        struct ucred who;
        socklen_t n = sizeof who;
        int listener;

        if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
                return -errno;
        listener = target_take(who.pid, visit->listener);
        if (listener < 0)
                return listener;
        if (poll(&there, 1, 0) == 0 && send(connection, "+", 1, MSG_NOSIGNAL) == 1)
                return listener;
        close(listener);
        return -ECONNRESET;
}

int door_take(int door, struct ranges *ret_ranges) {
        int connection = accept4(door, NULL, NULL, SOCK_CLOEXEC), listener = -EBADMSG;
        struct timeval patience = { .tv_sec = 1 };      /* it sends at once: nobody is waited for who does not */
        struct visit visit;

        if (connection < 0)
                return -errno;
        (void) setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (recv(connection, &visit, sizeof visit, MSG_TRUNC) == sizeof visit && visit.ranges.n <= RANGES_MAX &&        /* or it is another version's: they do not mix */
            visit.ranges.n_paths <= RANGES_PATHS_MAX)
                listener = fetch(connection, &visit);
        if (listener >= 0)
                *ret_ranges = visit.ranges;
        close(connection);
        return listener;
}

bool door_close(int door, int lock, const char *path) {
        struct pollfd coming = { .fd = door, .events = POLLIN };

        if (flock(lock, LOCK_EX | LOCK_NB) < 0)
                return false;
        if (poll(&coming, 1, 0) > 0) {
                flock(lock, LOCK_UN);
                return false;
        }
        (void) unlink(path);
        return true;
}
