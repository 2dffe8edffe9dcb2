/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Snapshots in a directory: the file of a disk becomes another's, and the disk gets a new one on top of that. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cleanup.h"
#include "directory.h"
#include "io.h"

struct freeze {
        char vdi[IO_NAME_MAX], vdi_tmp[IO_NAME_MAX];    /* the disk, and the image that takes its place */
        char frozen[IO_NAME_MAX];                       /* what its content is called from then on */
        char clone[IO_NAME_MAX], clone_tmp[IO_NAME_MAX]; /* a second image on top of that; empty: none */
};

static int parse_freeze(struct freeze *freeze, int argc, char **argv) {
        *freeze = (struct freeze) {};
        if (directory_make_name(freeze->vdi, argv[1], "qcow2") < 0 || directory_make_name(freeze->vdi_tmp, argv[1], "tmp") < 0 ||
            directory_make_name(freeze->frozen, argv[2], "qcow2") < 0)
                return -EINVAL;
        if (argc > 3 && (directory_make_name(freeze->clone, argv[3], "qcow2") < 0 || directory_make_name(freeze->clone_tmp, argv[3], "tmp") < 0))
                return -EINVAL;
        return 0;
}

static int sync_file(int root, const char *name) {
        AUTO_CLOSE int fd = io_open(root, name, O_RDWR, false);

        if (fd < 0)
                return io_failed(fd, "open %s", name);
        return fsync(fd) < 0 ? io_failed(-errno, "write %s to disk", name) : 0;
}

/*
 * The disk's file gets a second name, the frozen one, and then the new image takes the first. At every moment, the disk's name is a whole
 * disk with the same content.
 */
int io_directory_freeze(int argc, char **argv) {
        AUTO_CLOSE int root = -1;
        struct freeze f;

        if (parse_freeze(&f, argc, argv) < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0 || sync_file(root, f.vdi_tmp) != 0 || sync_file(root, f.vdi) != 0 ||
            (*f.clone && sync_file(root, f.clone_tmp) != 0))
                return 1;
        if (linkat(root, f.vdi, root, f.frozen, 0) < 0)
                return io_failed(-errno, "give %s a second name", f.vdi);
        if (fsync(root) < 0 || renameat(root, f.vdi_tmp, root, f.vdi) < 0)
                return io_failed(-errno, "rename %s to %s", f.vdi_tmp, f.vdi);
        if (*f.clone && renameat2(root, f.clone_tmp, root, f.clone, RENAME_NOREPLACE) < 0)
                return io_failed(-errno, "rename %s to %s", f.clone_tmp, f.clone);
        return directory_sync(root);
}

/* Undoes a freeze, however far it came. What is on top of the frozen image goes first. */
int io_directory_thaw(int argc, char **argv) {
        AUTO_CLOSE int root = -1;
        struct stat frozen, vdi;
        struct freeze f;

        if (parse_freeze(&f, argc, argv) < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0 || directory_remove(root, f.clone) != 0 || directory_remove(root, f.clone_tmp) != 0 ||
            directory_remove(root, f.vdi_tmp) != 0)
                return 1;
        if (fstatat(root, f.frozen, &frozen, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? directory_sync(root) : io_failed(-errno, "look at %s", f.frozen);
        if (fstatat(root, f.vdi, &vdi, AT_SYMLINK_NOFOLLOW) == 0 && frozen.st_ino == vdi.st_ino && frozen.st_dev == vdi.st_dev) {
                if (directory_remove(root, f.frozen) != 0)       /* rename() leaves both names of one file as they are */
                        return 1;
        } else if (renameat(root, f.frozen, root, f.vdi) < 0)
                return io_failed(-errno, "rename %s to %s", f.frozen, f.vdi);
        return directory_sync(root);
}
