/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The lock of a disk, which whoever reads or writes it has, by whichever kind of data path: a byte of its file beyond any data. It belongs to the open file, which is
 * passed on, and so lasts until everybody has closed that.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define LOCK_OFFSET (UINT64_C(3) << 61)         /* one byte for each disk of a file; xcp-vhost-blk has its own at 2 << 61 */
#define LOCK_UNIT 512u
#define SOCKET 3
#define PATH_SIZE 300u

/* Whether a line of proc(5), /proc/PID/fdinfo, says that the descriptor has such a lock. */
static bool is_of(const char *line, const struct stat *st, uint64_t byte) {
        uint64_t inode, first;
        unsigned major, minor;

        return sscanf(line, "lock: %*s OFDLCK %*s %*s %*s %x:%x:%" SCNu64 " %" SCNu64, &major, &minor, &inode, &first) == 4 &&
               major == major(st->st_dev) && minor == minor(st->st_dev) && inode == st->st_ino && first == byte;
}

static bool descriptor_has(const char *path, const struct stat *st, uint64_t byte) {
        char line[256];
        bool has = false;
        FILE *f = fopen(path, "re");

        if (!f)
                return false;
        while (!has && fgets(line, sizeof line, f))
                has = is_of(line, st, byte);
        fclose(f);
        return has;
}

static bool process_has(const char *pid, const struct stat *st, uint64_t byte) {
        char path[PATH_SIZE];
        const struct dirent *entry;
        bool has = false;
        DIR *d;

        snprintf(path, sizeof path, "/proc/%s/fdinfo", pid);
        d = opendir(path);
        if (!d)
                return false;
        while (!has && (entry = readdir(d))) {
                if (*entry->d_name == '.')
                        continue;
                snprintf(path, sizeof path, "/proc/%s/fdinfo/%.20s", pid, entry->d_name);
                has = descriptor_has(path, st, byte);
        }
        closedir(d);
        return has;
}

/* The kernel does not say whose a lock is that belongs to an open file, but each process which open files it has. */
static void find_holder(const struct stat *st, uint64_t byte, char *text, size_t size) {
        const struct dirent *entry;
        char path[PATH_SIZE], name[32] = "";
        DIR *d = opendir("/proc");
        FILE *f;

        snprintf(text, size, "a process of another domain or host");
        while (d && (entry = readdir(d))) {
                if (*entry->d_name < '1' || *entry->d_name > '9' || !process_has(entry->d_name, st, byte))
                        continue;
                snprintf(path, sizeof path, "/proc/%.20s/comm", entry->d_name);
                f = fopen(path, "re");
                if (f && fgets(name, sizeof name, f))
                        name[strcspn(name, "\n")] = '\0';
                if (f)
                        fclose(f);
                snprintf(text, size, "process %.20s (%s)", entry->d_name, name);
                break;
        }
        if (d)
                closedir(d);
}

static int pass_on(int fd) {
        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
        char byte = 0;
        struct iovec iov = { &byte, 1 };
        const struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room };

        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        return sendmsg(SOCKET, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/*
 * DIR NAME OFFSET ro|rw alone|shared now|wait. Passes the file on, locked, to descriptor 3, a socket. If somebody has it: failed EUSERS HOLDER, or a line waits HOLDER, and then waits.
 * Where files cannot be locked, nobody is kept from anything.
 */
int io_lock(int argc, char **argv) {
        bool writes = strcmp(argv[3], "rw") == 0, is_shared = !writes || strcmp(argv[4], "shared") == 0;
        struct flock lock = { .l_type = is_shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
        AUTO_CLOSE int fd = -1;
        uint64_t offset;
        char holder[64];
        struct stat st;
        int r;

        if (io_number(argv[2], &offset) < 0)
                return io_failed(-EINVAL, "%s", argv[2]);
        lock.l_start = (off_t) (LOCK_OFFSET + offset / LOCK_UNIT);
        fd = io_open_at_path(argv[0], argv[1], writes ? O_RDWR : O_RDONLY, true);
        if (fd < 0 || fstat(fd, &st) < 0)
                return io_failed(fd < 0 ? fd : -errno, "cannot open %s", argv[1]);
        if (fcntl(fd, F_OFD_SETLK, &lock) < 0 && (errno == EAGAIN || errno == EACCES)) {
                find_holder(&st, (uint64_t) lock.l_start, holder, sizeof holder);
                if (strcmp(argv[5], "wait") != 0) {
                        printf("failed %d %s\n", EUSERS, holder);
                        return 1;
                }
                printf("waits %s\n", holder);
                while (fcntl(fd, F_OFD_SETLKW, &lock) < 0)
                        if (errno != EINTR)
                                return io_failed(-errno, "cannot lock %s", argv[1]);
        }
        r = pass_on(fd);
        return r < 0 ? io_failed(r, "cannot pass on %s", argv[1]) : 0;
}
