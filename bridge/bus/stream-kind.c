/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "stream-kind.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#define NOT_SUPPORTED "org.freedesktop.DBus.Error.NotSupported"
#define LIMITS_EXCEEDED "org.freedesktop.DBus.Error.LimitsExceeded"
#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW)
#define PROC_PATH "/proc/self/fd/%d"

static const char *refuse(char *text, size_t n, const char *what) {
        snprintf(text, n, "%s", what);
        return NOT_SUPPORTED;
}

static bool get_link(int fd, char *link, size_t n) {
        char path[64];
        ssize_t length;

        snprintf(path, sizeof path, PROC_PATH, fd);
        length = readlink(path, link, n - 1);
        if (length < 0)
                return false;
        link[length] = '\0';
        return true;
}

/* What has no type of its own: the kernel names it, "anon_inode:[eventfd]". */
static const char *refuse_anonymous(int fd, char *text, size_t n) {
        char link[256], *word, *end;

        if (!get_link(fd, link, sizeof link))
                return refuse(text, n, "something that has no name");
        word = strchr(link, ':');
        word = word ? word + 1 : link;
        word += *word == '[';
        end = strchr(word, ']');
        if (end)
                *end = '\0';
        if (strcmp(word, "eventpoll") == 0)
                word = (char *) "epoll";
        snprintf(text, n, "one of %s", word);
        return NOT_SUPPORTED;
}

static const char *find_pipe(int flags, struct stream_kind *kind, char *text, size_t n) {
        int mode = flags & O_ACCMODE;

        if (mode == O_RDWR)
                return refuse(text, n, "a FIFO that is open both ways");
        *kind = (struct stream_kind) { .kind = mode == O_RDONLY ? WIRE_PIPE_READER : WIRE_PIPE_WRITER, .way = STREAM_WAY_PIPE };
        return NULL;
}

static int socket_option(int fd, int option) {
        socklen_t n = sizeof(int);
        int value = -1;

        return getsockopt(fd, SOL_SOCKET, option, &value, &n) < 0 ? -1 : value;
}

static const char *find_socket(int fd, struct stream_kind *kind, char *text, size_t n) {
        struct sockaddr_storage peer;
        socklen_t n_peer = sizeof peer;
        int type = socket_option(fd, SO_TYPE);

        if (socket_option(fd, SO_ACCEPTCONN) == 1)
                return refuse(text, n, "a listening socket");
        if (type != SOCK_STREAM && (type != SOCK_SEQPACKET || socket_option(fd, SO_DOMAIN) != AF_UNIX))
                return refuse(text, n, "a datagram socket");
        if (getpeername(fd, (struct sockaddr *) &peer, &n_peer) < 0)
                return refuse(text, n, "a socket that is not connected");
        *kind = (struct stream_kind) {
                .kind = type == SOCK_STREAM ? WIRE_SOCKET_STREAM : WIRE_SOCKET_PACKETS,
                .way = STREAM_WAY_SOCKET,
        };
        return NULL;
}

static const char *find_device(int fd, int flags, struct stream_kind *kind, char *text, size_t n) {
        unsigned number;
        char link[64];

        if (!isatty(fd))
                return refuse(text, n, "a device");
        if ((flags & O_ACCMODE) != O_RDWR)
                return refuse(text, n, "a terminal that is not open both ways");
        if (ioctl(fd, TIOCGPTN, &number) == 0)
                *kind = (struct stream_kind) { .kind = WIRE_TERMINAL_MASTER, .way = STREAM_WAY_OWN };
        else if (get_link(fd, link, sizeof link) && strncmp(link, "/dev/pts/", strlen("/dev/pts/")) == 0)
                *kind = (struct stream_kind) { .kind = WIRE_TERMINAL, .way = STREAM_WAY_OWN };
        else
                return refuse(text, n, "a terminal that is a device");
        return NULL;
}

/* Reading a file of these may wait for a program or another machine, or is not reading bytes. */
static bool may_wait(int fd) {
        static const unsigned long slow[] = {
                FUSE_SUPER_MAGIC, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC, CEPH_SUPER_MAGIC, AFS_FS_MAGIC,
                AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, V9FS_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,
                CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
        };
        struct statfs file_system;

        if (fstatfs(fd, &file_system) < 0)
                return true;
        for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++)
                if (((unsigned long) file_system.f_type & 0xffffffff) == slow[i])
                        return true;
        return false;
}

static const char *find_file(int fd, int flags, const struct stat *status, struct stream_kind *kind, char *text, size_t n) {
        char link[256];
        bool memory;
        off_t offset = lseek(fd, 0, SEEK_CUR);

        if (!get_link(fd, link, sizeof link) || link[0] != '/')
                return refuse_anonymous(fd, text, n);
        memory = strncmp(link, "/memfd:", strlen("/memfd:")) == 0;
        if (memory && (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
                return refuse(text, n, "a memfd that is not sealed against writing, growing and shrinking");
        if (!memory && (flags & O_ACCMODE) != O_RDONLY)
                return refuse(text, n, "a file that is open for writing");
        if (!memory && may_wait(fd))
                return refuse(text, n, "a file of a file system that bytes are not simply read from");
        if (status->st_size > WIRE_COPY_MAX) {
                snprintf(text, n, "a file of %jd bytes, and %u may be copied", (intmax_t) status->st_size, WIRE_COPY_MAX);
                return LIMITS_EXCEEDED;
        }
        *kind = (struct stream_kind) {
                .kind = memory ? WIRE_COPY_MEMORY : WIRE_COPY_FILE,
                .way = STREAM_WAY_FILE,
                .size = (uint64_t) status->st_size,
                .offset = offset > 0 ? (uint64_t) offset : 0,
        };
        return NULL;
}

const char *stream_kind_find(int fd, struct stream_kind *ret_kind, char *text, size_t n_text) {
        struct stat status;
        int flags = fcntl(fd, F_GETFL);

        if (flags < 0 || fstat(fd, &status) < 0)
                return refuse(text, n_text, "nothing that can be looked at");
        if (flags & O_PATH)
                return refuse(text, n_text, "a place in a file system (O_PATH)");
        switch (status.st_mode & S_IFMT) {
        case S_IFIFO:
                return find_pipe(flags, ret_kind, text, n_text);
        case S_IFSOCK:
                return find_socket(fd, ret_kind, text, n_text);
        case S_IFCHR:
                return find_device(fd, flags, ret_kind, text, n_text);
        case S_IFREG:
                return find_file(fd, flags, &status, ret_kind, text, n_text);
        case S_IFDIR:
                return refuse(text, n_text, "a directory");
        case S_IFBLK:
                return refuse(text, n_text, "a block device");
        default:
                return refuse_anonymous(fd, text, n_text);
        }
}

int stream_kind_prepare(int fd, const struct stream_kind *kind) {
        char path[64];
        int own = -1;

        if (kind->way != STREAM_WAY_OWN)
                return fd;
        if (kind->kind == WIRE_TERMINAL) {
                snprintf(path, sizeof path, PROC_PATH, fd);
                own = open(path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        }
        if (own < 0) {
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
                return fd;
        }
        close(fd);
        return own;
}

static int set_nonblocking(int fd) {
        return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* Bytes go through it as they are: what a terminal does to them is done by the one that was passed. */
static int make_terminal(int fds[2]) {
        struct termios mode;
        int unlock = 0, r;

        fds[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (fds[0] < 0)
                return -errno;
        fds[1] = ioctl(fds[0], TIOCSPTLCK, &unlock) < 0 ? -1 : ioctl(fds[0], TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        r = fds[1] < 0 || tcgetattr(fds[1], &mode) < 0 ? -errno : 0;
        if (r == 0) {
                cfmakeraw(&mode);
                r = tcsetattr(fds[1], TCSANOW, &mode) < 0 ? -errno : 0;
        }
        if (r < 0) {
                if (fds[1] >= 0)
                        close(fds[1]);
                close(fds[0]);
        }
        return r;
}

/* Both ends: of a pipe, the reader first; of a terminal, the master. */
static int make_pair(enum wire_descriptor_kind kind, int fds[2]) {
        switch (kind) {
        case WIRE_PIPE_READER:
        case WIRE_PIPE_WRITER:
                return pipe2(fds, O_CLOEXEC) < 0 ? -errno : 0;
        case WIRE_SOCKET_STREAM:
                return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
        case WIRE_SOCKET_PACKETS:
                return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
        default:
                return make_terminal(fds);
        }
}

int stream_kind_make(enum wire_descriptor_kind kind, int *ret_own, int *ret_given, enum stream_way *ret_way) {
        bool first = kind == WIRE_PIPE_WRITER || kind == WIRE_TERMINAL;         /* is it ours? */
        bool socket = kind == WIRE_SOCKET_STREAM || kind == WIRE_SOCKET_PACKETS;
        int fds[2], r;

        if (stream_kind_is_copy(kind)) {
                fds[0] = memfd_create("xcp-bridge", MFD_CLOEXEC | MFD_ALLOW_SEALING);
                if (fds[0] < 0)
                        return -errno;
                *ret_own = fds[0];
                *ret_given = -1;
                *ret_way = STREAM_WAY_FILE;
                return 0;
        }
        r = make_pair(kind, fds);
        if (r < 0)
                return r;
        r = socket ? 0 : set_nonblocking(fds[first ? 0 : 1]);
        if (r < 0) {
                close(fds[0]);
                close(fds[1]);
                return r;
        }
        *ret_own = fds[first ? 0 : 1];
        *ret_given = fds[first ? 1 : 0];
        *ret_way = socket ? STREAM_WAY_SOCKET : STREAM_WAY_OWN;
        return 0;
}

int stream_kind_seal(int own, const struct stream_kind *kind, int *ret_given) {
        char path[64];
        int given = own;

        if (fcntl(own, F_ADD_SEALS, SEALS | F_SEAL_SEAL) < 0 ||
            (kind->kind == WIRE_COPY_MEMORY && lseek(own, (off_t) kind->offset, SEEK_SET) < 0))
                goto fail;
        if (kind->kind == WIRE_COPY_FILE) {
                snprintf(path, sizeof path, PROC_PATH, own);
                given = open(path, O_RDONLY | O_CLOEXEC);
                if (given < 0)
                        goto fail;
                lseek(given, (off_t) kind->offset, SEEK_SET);
                close(own);
        }
        *ret_given = given;
        return 0;
fail:;
        int r = -errno;

        close(own);
        return r;
}
