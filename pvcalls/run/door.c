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

int door_hand_over(int connection, int listener, const struct ranges *ranges) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) } };
        struct iovec iov = { .iov_base = (void *) ranges, .iov_len = sizeof *ranges };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        struct pollfd answer = { .fd = connection, .events = POLLIN };
        char ok;

        memcpy(CMSG_DATA(&control.header), &listener, sizeof listener);
        if (sendmsg(connection, &message, MSG_NOSIGNAL) < 0)
                return -errno;
        if (poll(&answer, 1, HAND_OVER_MS) <= 0)
                return -ETIMEDOUT;
        return recv(connection, &ok, 1, 0) == 1 ? 0 : -ECONNRESET;
}

int door_take(int door, struct ranges *ret_ranges) {
        union {
                struct cmsghdr header;
                char bytes[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct iovec iov = { .iov_base = ret_ranges, .iov_len = sizeof *ret_ranges };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
        int connection = accept4(door, NULL, NULL, SOCK_CLOEXEC), listener = -1;
        struct timeval patience = { .tv_sec = 1 };      /* it sends at once: nobody is waited for who does not */

        if (connection < 0)
                return -errno;
        (void) setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (recvmsg(connection, &message, MSG_CMSG_CLOEXEC) == sizeof *ret_ranges && control.header.cmsg_len == CMSG_LEN(sizeof(int)) &&
            control.header.cmsg_type == SCM_RIGHTS) {
                memcpy(&listener, CMSG_DATA(&control.header), sizeof listener);
                if (ret_ranges->n > RANGES_MAX)         /* another version's: they do not mix */
                        ret_ranges->n = 0;
                if (send(connection, "+", 1, MSG_NOSIGNAL) != 1) {
                        close(listener);
                        listener = -1;
                }
        }
        close(connection);
        return listener < 0 ? -EBADMSG : listener;
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
        flock(lock, LOCK_UN);
        return true;
}
