/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Loop devices: a disk, or a part of a file, as a block device for Xen's block back-end. A link says which device it is. One that is taken away goes
 * with the last who has it open, so a back-end that is slow to let go of it loses nothing.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define CONTROL "/dev/loop-control"
#define PREFIX "/dev/loop"
#define TRIES 64u                       /* a device that was free may be somebody else's by then */
#define PATH_SIZE 64u

struct range {
        int fd;                         /* of the file */
        int flags;                      /* O_RDWR or O_RDONLY */
        uint64_t offset, size;          /* size 0: up to the end */
};

static int parse(char **argv, struct range *ret_range) {
        *ret_range = (struct range) { .fd = -1, .flags = strcmp(argv[4], "ro") == 0 ? O_RDONLY : O_RDWR };
        return io_number(argv[2], &ret_range->offset) < 0 || io_number(argv[3], &ret_range->size) < 0 ? -EINVAL : 0;
}

/* A device may be another's since the link was made: after a boot, the numbers begin anew. Its size may be one that the disk had before. */
static bool is_of(int device, const struct range *range) {
        bool is_read_only = range->flags == O_RDONLY;
        struct loop_info64 info;
        struct stat st;

        return ioctl(device, LOOP_GET_STATUS64, &info) == 0 && fstat(range->fd, &st) == 0 && info.lo_inode == st.st_ino &&
               info.lo_device == st.st_dev && info.lo_offset == range->offset &&
               !!(info.lo_flags & LO_FLAGS_READ_ONLY) == is_read_only;
}

/* The device that the link names, if it is this one. -ENOENT */
static int open_linked(const char *link, const struct range *range) {
        char path[PATH_SIZE];
        ssize_t n = readlink(link, path, sizeof path - 1);
        int fd;

        if (n < 0)
                return -errno;
        path[n] = '\0';
        if (strncmp(path, PREFIX, strlen(PREFIX)) != 0)
                return -ENOENT;
        fd = open(path, range->flags | O_CLOEXEC);
        if (fd >= 0 && is_of(fd, range))
                return fd;
        if (fd >= 0)
                close(fd);
        return -ENOENT;
}

/* Nothing, if it has it already. */
static int set_size(int device, const struct range *range) {
        struct loop_info64 info;

        if (ioctl(device, LOOP_GET_STATUS64, &info) < 0)
                return -errno;
        if (info.lo_sizelimit != range->size) {
                info.lo_sizelimit = range->size;
                return ioctl(device, LOOP_SET_STATUS64, &info) < 0 ? -errno : 0;
        }
        return range->size == 0 && ioctl(device, LOOP_SET_CAPACITY) < 0 ? -errno : 0;
}

/* Returns the open device: it is gone again when that is closed before anybody else opens it. */
static int try_device(int control, const struct range *range, char *path) {
        const struct loop_config config = {
                .fd = (uint32_t) range->fd,
                .info = { .lo_offset = range->offset, .lo_sizelimit = range->size,
                          .lo_flags = range->flags == O_RDONLY ? LO_FLAGS_READ_ONLY : 0 },
        };
        int number = ioctl(control, LOOP_CTL_GET_FREE), device, r;

        if (number < 0)
                return -errno;
        snprintf(path, PATH_SIZE, PREFIX "%d", number);
        device = open(path, range->flags | O_CLOEXEC);
        if (device < 0)
                return -errno;
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0)
                return device;
        r = -errno;
        close(device);
        return r;
}

static int make_device(const struct range *range, char *path) {
        AUTO_CLOSE int control = open(CONTROL, O_RDWR | O_CLOEXEC);
        int r = -EBUSY;

        if (control < 0)
                return -errno;
        for (unsigned i = 0; i < TRIES && r == -EBUSY; i++)
                r = try_device(control, range, path);
        return r;
}

/* Under another name first, so that a link is never without its device. */
static int point(const char *link, const char *path) {
        char temporary[4096 + 16];

        if (snprintf(temporary, sizeof temporary, "%s.new", link) >= (int) sizeof temporary)
                return -ENAMETOOLONG;
        if (unlink(temporary) < 0 && errno != ENOENT)
                return -errno;
        return symlink(path, temporary) < 0 || rename(temporary, link) < 0 ? -errno : 0;
}

/* The folder of links, locked: two who attach the same reader get the same device. */
static int open_folder_of(const char *link) {
        char folder[4096];
        int n = (int) (strrchr(link, '/') ? strrchr(link, '/') - link : 0), fd;

        if (n == 0 || snprintf(folder, sizeof folder, "%.*s", n, link) >= (int) sizeof folder)
                return -EINVAL;
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
                return -errno;
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || flock(fd, LOCK_EX) < 0) {
                n = -errno;
                if (fd >= 0)
                        close(fd);
                return n;
        }
        return fd;
}

/* DIR NAME OFFSET SIZE rw|ro LINK */
int io_loop_attach(int argc, char **argv) {
        AUTO_CLOSE int file = -1;
        AUTO_CLOSE int folder = -1;
        AUTO_CLOSE int device = -1;
        struct range range;
        char path[PATH_SIZE];
        int r;

        if (parse(argv, &range) < 0)
                return 2;
        range.fd = file = io_open_at_path(argv[0], argv[1], range.flags, true);
        if (file < 0)
                return io_failed(file, "open %s", argv[1]);
        folder = open_folder_of(argv[5]);
        if (folder < 0)
                return io_failed(folder, "open the folder of %s", argv[5]);
        device = open_linked(argv[5], &range);
        if (device >= 0) {              /* it is attached already */
                r = set_size(device, &range);
                return r < 0 ? io_failed(r, "give the loop device before %s its size", argv[1]) : 0;
        }
        device = make_device(&range, path);
        if (device < 0)
                return io_failed(device, "put a loop device before %s", argv[1]);
        r = point(argv[5], path);
        if (r >= 0)
                return 0;
        (void) ioctl(device, LOOP_CLR_FD);
        return io_failed(r, "make the link %s", argv[5]);
}

/* The same arguments. What has been written to the device is in the file then. */
int io_loop_detach(int argc, char **argv) {
        AUTO_CLOSE int file = -1;
        AUTO_CLOSE int device = -1;
        struct range range;

        if (parse(argv, &range) < 0)
                return 2;
        range.fd = file = io_open_at_path(argv[0], argv[1], range.flags, true);
        device = file < 0 ? file : open_linked(argv[5], &range);
        if (device >= 0 && range.flags == O_RDWR && fsync(device) < 0)
                return io_failed(-errno, "write %s out", argv[1]);
        if (device >= 0 && ioctl(device, LOOP_CLR_FD) < 0 && errno != ENXIO)
                return io_failed(-errno, "take the loop device from %s", argv[1]);
        if (unlink(argv[5]) < 0 && errno != ENOENT)
                return io_failed(-errno, "remove the link %s", argv[5]);
        return 0;
}

/* The same arguments, with the size that it is to have. A device that is not there is none to change. */
int io_loop_resize(int argc, char **argv) {
        AUTO_CLOSE int file = -1;
        AUTO_CLOSE int device = -1;
        struct range range;
        int r;

        if (parse(argv, &range) < 0)
                return 2;
        range.fd = file = io_open_at_path(argv[0], argv[1], range.flags, true);
        if (file < 0)
                return io_failed(file, "open %s", argv[1]);
        device = open_linked(argv[5], &range);
        r = device >= 0 ? set_size(device, &range) : 0;
        return r < 0 ? io_failed(r, "give the loop device before %s its size", argv[1]) : 0;
}
