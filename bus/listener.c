/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cleanup.h"

_Static_assert(LISTENER_PATH_MAX + 1 == sizeof((struct sockaddr_un *) 0)->sun_path, "unix(7)");

void listener_done(struct listener *listener) {
        if (listener->path)
                unlink(listener->path);
        if (listener->fd >= 0)
                close(listener->fd);
        if (listener->directory_fd >= 0)
                close(listener->directory_fd);
        free(listener->path);
        *listener = LISTENER_NULL;
}

/* Returns 0 and a descriptor of the locked directory, LISTENER_IN_USE, or a negative errno. */
static int lock_directory(const char *directory, int *ret_fd) {
        AUTO_CLOSE int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? LISTENER_IN_USE : -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

/* Removes a socket on which nobody answers. */
static int remove_stale(const struct sockaddr_un *address) {
        AUTO_CLOSE int fd = -1;
        struct stat st;

        if (lstat(address->sun_path, &st) < 0)
                return errno == ENOENT ? 0 : -errno;
        if (!S_ISSOCK(st.st_mode))
                return LISTENER_NOT_A_SOCKET;
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, (const struct sockaddr *) address, sizeof *address) == 0 || errno == EAGAIN)
                return LISTENER_IN_USE;         /* EAGAIN: somebody listens, and has no time */
        if (errno != ECONNREFUSED)
                return -errno;
        return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Makes the socket. Its mode is open from the start: fchmod(2) before bind(2) would not do on Linux, so the umask is lifted around it. */
static int bind_and_listen(const struct sockaddr_un *address, int *ret_fd) {
        AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        mode_t mask;
        int r;

        if (fd < 0)
                return -errno;
        mask = umask(0111);
        r = bind(fd, (const struct sockaddr *) address, sizeof *address);
        umask(mask);
        if (r < 0)
                return -errno;
        if (listen(fd, SOMAXCONN) < 0) {
                r = -errno;
                unlink(address->sun_path);
                return r;
        }
        *ret_fd = fd;
        fd = -1;
        return 0;
}

int listener_open(const char *directory, struct listener *ret_listener, char **ret_path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        AUTO_CLOSE int directory_fd = -1;
        AUTO_FREE char *path = NULL;
        int r, fd = -1;

        if (asprintf(&path, "%s/bus", directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        *ret_path = strdup(path);
        if (!*ret_path)
                return -ENOMEM;
        if (strlen(path) > LISTENER_PATH_MAX)
                return LISTENER_TOO_LONG;
        strcpy(address.sun_path, path);

        r = lock_directory(directory, &directory_fd);
        if (r == 0)
                r = remove_stale(&address);
        if (r == 0)
                r = bind_and_listen(&address, &fd);
        if (r != 0)
                return r;

        *ret_listener = (struct listener) { .directory_fd = directory_fd, .fd = fd, .path = path };
        directory_fd = -1;
        path = NULL;
        return 0;
}
