/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Storage repositories that are directories: UUID.raw and UUID.qcow2 are disks, UUID.tmp one that is being made, UUID.stage something that
 * is passing through, and xcp-sr says whose directory it is. Nothing else is touched.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"
#include "directory.h"
#include "io.h"
#include "qcow2-header.h"

#define MARKER "xcp-sr"
#define MARKER_TEXT "xcpbus storage repository 1\n"
#define MARKER_SIZE (sizeof MARKER_TEXT - 1 + UUID_TEXT_SIZE)   /* the UUID and a newline */

static const char *const extensions[] = { "tmp", "stage", "raw", "qcow2" };
#define N_EXTENSIONS (sizeof extensions / sizeof extensions[0])

static void closedirp(DIR **dir) {
        if (*dir)
                closedir(*dir);
}

/* A name of a file of ours: the UUID, and which of the extensions. -EINVAL for any other. */
static int parse_name(const char *name, struct uuid *ret_uuid, size_t *ret_extension) {
        if (uuid_parse_prefix(name, ret_uuid) < 0 || name[UUID_TEXT_SIZE - 1] != '.')
                return -EINVAL;
        for (size_t i = 0; i < N_EXTENSIONS; i++)
                if (strcmp(name + UUID_TEXT_SIZE, extensions[i]) == 0) {
                        *ret_extension = i;
                        return 0;
                }
        return -EINVAL;
}

int directory_make_name(char *ret_name, const char *uuid_text, const char *extension) {
        struct uuid uuid;

        if (uuid_parse(uuid_text, &uuid) < 0)
                return -EINVAL;
        snprintf(ret_name, IO_NAME_MAX, "%s.%s", uuid_text, extension);
        return 0;
}

int directory_open(const char *path, int *ret_fd) {
        int fd = io_open_directory(path);

        if (fd < 0)
                return io_unreachable(fd, path);
        *ret_fd = fd;
        return 0;
}

int directory_sync(int root) {
        return fsync(root) < 0 ? io_failed(-errno, "write the directory to disk") : 0;
}

int directory_remove(int root, const char *name) {
        if (*name && unlinkat(root, name, 0) < 0 && errno != ENOENT)
                return io_failed(-errno, "remove %s", name);
        return 0;
}

static DIR *list(int root) {
        int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir && fd >= 0)
                close(fd);
        return dir;
}

/* The marker */

/* -ENODATA: there is none. -EUCLEAN: it is none. */
static int read_marker(int root, struct uuid *ret_sr) {
        AUTO_CLOSE int fd = io_open(root, MARKER, O_RDONLY, false);
        char text[MARKER_SIZE + 1];
        ssize_t n;

        if (fd < 0)
                return fd == -ENOENT ? -ENODATA : fd;
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        if ((size_t) n != MARKER_SIZE || strncmp(text, MARKER_TEXT, strlen(MARKER_TEXT)) != 0 || text[MARKER_SIZE - 1] != '\n' ||
            uuid_parse_prefix(text + strlen(MARKER_TEXT), ret_sr) < 0)
                return -EUCLEAN;
        return 0;
}

static int write_marker(int root, const char *sr) {
        AUTO_CLOSE int fd = -1;
        char text[MARKER_SIZE + 1];
        int r;

        snprintf(text, sizeof text, "%s%s\n", MARKER_TEXT, sr);
        fd = io_open(root, MARKER ".tmp", O_RDWR | O_CREAT | O_EXCL, false);
        if (fd < 0)
                return fd;
        r = io_pwrite(fd, text, MARKER_SIZE, 0);
        if (r < 0)
                return r;
        if (fsync(fd) < 0 || renameat2(root, MARKER ".tmp", root, MARKER, RENAME_NOREPLACE) < 0 || fsync(root) < 0)
                return -errno;
        return 0;
}

/* Is it the storage repository that is meant? */
static int check_marker(int root, const char *path, const char *expected, struct uuid *ret_sr) {
        char text[UUID_TEXT_SIZE];
        int r;

        r = read_marker(root, ret_sr);
        if (r == -ENODATA)
                return io_unreachable(r, "no storage repository is in the directory");
        if (r < 0)
                return io_failed(r, "read %s/" MARKER, path);
        if (strcmp(expected, "-") != 0 && strcmp(uuid_format(ret_sr, text), expected) != 0)
                return io_unreachable(-ESTALE, "another storage repository is in the directory");
        return 0;
}

static int check_empty(int root, const char *path) {
        AUTO(closedirp) DIR *dir = list(root);
        const struct dirent *entry;

        if (!dir)
                return io_failed(-errno, "read %s", path);
        while ((entry = readdir(dir)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "lost+found") != 0) {
                        printf("failed %d %s is not empty\n", EEXIST, path);
                        return 1;
                }
        return 0;
}

int io_directory_make(int argc, char **argv) {
        AUTO_CLOSE int root = -1;
        struct uuid sr;
        int r;

        if (uuid_parse(argv[1], &sr) < 0)
                return 2;
        if (mkdir(argv[0], 0700) < 0 && errno != EEXIST)
                return io_failed(-errno, "make %s", argv[0]);
        root = io_open_directory(argv[0]);
        if (root < 0)
                return io_failed(root, "open %s", argv[0]);
        if (check_empty(root, argv[0]) != 0)
                return 1;
        r = write_marker(root, argv[1]);
        return r < 0 ? io_failed(r, "write %s/" MARKER, argv[0]) : 0;
}

/* Removes files of ours, the marker last, so that what is interrupted can be gone on with. */
static int remove_all(int root) {
        AUTO(closedirp) DIR *dir = list(root);
        const struct dirent *entry;
        struct uuid uuid;
        size_t extension;

        if (!dir)
                return io_failed(-errno, "read the directory");
        while ((entry = readdir(dir)))
                if (parse_name(entry->d_name, &uuid, &extension) >= 0 && unlinkat(root, entry->d_name, 0) < 0 && errno != ENOENT)
                        return io_failed(-errno, "remove %s", entry->d_name);
        if ((unlinkat(root, MARKER ".tmp", 0) < 0 && errno != ENOENT) || (unlinkat(root, MARKER, 0) < 0 && errno != ENOENT))
                return io_failed(-errno, "remove " MARKER);
        return directory_sync(root);
}

int io_directory_unmake(int argc, char **argv) {
        AUTO_CLOSE int root = io_open_directory(argv[0]);
        struct uuid sr;
        char text[UUID_TEXT_SIZE];
        int r;

        if (root == -ENOENT)
                return 0;
        if (root < 0)
                return io_unreachable(root, argv[0]);
        r = read_marker(root, &sr);
        if (r == -ENODATA) {
                if (unlinkat(root, MARKER ".tmp", 0) < 0 && errno != ENOENT)
                        return io_failed(-errno, "remove " MARKER ".tmp");
                return 0;
        }
        if (r < 0)
                return io_failed(r, "read %s/" MARKER, argv[0]);
        if (strcmp(uuid_format(&sr, text), argv[1]) != 0)
                return io_unreachable(-ESTALE, "another storage repository is in the directory");
        return remove_all(root);
}

/* What is there */

static int print_space(int root, bool with_used) {
        struct statvfs st;
        uint64_t used = 0;

        if (fstatvfs(root, &st) < 0)
                return io_failed(-errno, "ask for free space");
        if (with_used) {
                AUTO(closedirp) DIR *dir = list(root);
                const struct dirent *entry;
                struct uuid uuid;
                struct stat file;
                size_t extension;

                if (!dir)
                        return io_failed(-errno, "read the directory");
                while ((entry = readdir(dir)))
                        if (parse_name(entry->d_name, &uuid, &extension) >= 0 &&
                            fstatat(root, entry->d_name, &file, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(file.st_mode))
                                used += (uint64_t) file.st_blocks * 512;
        }
        printf("space %llu %llu %llu\n", (unsigned long long) st.f_blocks * st.f_frsize, (unsigned long long) st.f_bavail * st.f_frsize,
               (unsigned long long) used);
        return 0;
}

/* A file that does not look like a disk is passed over, and said to be so: it is not the others' fault. */
static void print_disk(int root, const char *name, const char *uuid, bool is_qcow2) {
        AUTO_CLOSE int fd = io_open(root, name, O_RDONLY, false);
        struct qcow2_header header;
        char backing[UUID_TEXT_SIZE] = "-";
        uint64_t size;
        int r;

        r = fd < 0 ? fd : io_size(fd, &size);
        if (r < 0) {
                printf("bad %s %s\n", name, r == -ELOOP || r == -EMEDIUMTYPE ? "is no regular file" : strerrordesc_np(-r));
                return;
        }
        if (is_qcow2) {
                printf("check %s\n", name);             /* what fails next is about this one */
                if (io_read_qcow2(fd, 0, name, &header) != 0)
                        return;
                size = header.size;
                if (header.has_backing)
                        uuid_format(&header.backing, backing);
        } else if (size == 0 || size % 512 != 0) {
                printf("bad %s its size is no multiple of 512\n", name);
                return;
        }
        printf("disk %s %s %llu %s\n", uuid, is_qcow2 ? "Qcow2" : "Raw", (unsigned long long) size, backing);
}

static int print_disks(int root) {
        AUTO(closedirp) DIR *dir = list(root);
        const struct dirent *entry;
        char text[UUID_TEXT_SIZE];
        struct uuid uuid;
        size_t extension;

        if (!dir)
                return io_failed(-errno, "read the directory");
        while ((entry = readdir(dir)))
                if (parse_name(entry->d_name, &uuid, &extension) >= 0 && extension >= 2)
                        print_disk(root, entry->d_name, uuid_format(&uuid, text), extension == 3);
        puts("end");
        return 0;
}

/* Prints sr UUID, read-only 0|1, space, disk UUID FORMAT SIZE BACKING|-, bad NAME WHY, check NAME (followed by failed, if it is bad), end.
 */
int io_directory_scan(int argc, char **argv) {
        AUTO_CLOSE int root = -1;
        char text[UUID_TEXT_SIZE];
        struct uuid sr;

        if (directory_open(argv[0], &root) != 0 || check_marker(root, argv[0], argv[1], &sr) != 0)
                return 1;
        printf("sr %s\nread-only %d\n", uuid_format(&sr, text), faccessat(root, ".", W_OK, AT_EACCESS) < 0);
        return print_space(root, false) != 0 || print_disks(root) != 0;
}

int io_directory_space(int argc, char **argv) {
        AUTO_CLOSE int root = -1;

        return directory_open(argv[0], &root) != 0 || print_space(root, true) != 0;
}

/* Prints usage BYTES for each. */
int io_directory_usage(int argc, char **argv) {
        AUTO_CLOSE int root = -1;

        if (directory_open(argv[0], &root) != 0)
                return 1;
        for (int i = 1; i < argc; i++) {
                struct stat st;

                if (fstatat(root, argv[i], &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return io_failed(-errno, "look at %s", argv[i]);
                printf("usage %llu\n", (unsigned long long) st.st_blocks * 512);
        }
        return 0;
}

int io_directory_stat(int argc, char **argv) {
        AUTO_CLOSE int root = -1, fd = -1;
        struct qcow2_header header;
        char name[IO_NAME_MAX];
        uint64_t size;
        int r;

        if (directory_make_name(name, argv[1], argv[2]) < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0)
                return 1;
        fd = io_open(root, name, O_RDONLY, false);
        if (fd < 0)
                return io_failed(fd, "open %s", name);
        r = io_size(fd, &size);
        if (r < 0)
                return io_failed(r, "look at %s", name);
        if (strcmp(argv[2], "qcow2") == 0) {
                if (io_read_qcow2(fd, 0, name, &header) != 0)
                        return 1;
                size = header.size;
        }
        printf("size %llu\n", (unsigned long long) size);
        return 0;
}

/* Making disks */

static int make_blank(int root, const char *name, uint64_t size, int *ret_fd) {
        int fd = io_open(root, name, O_RDWR | O_CREAT | O_EXCL, false);

        if (fd < 0)
                return io_failed(fd, "make %s", name);
        if (ftruncate(fd, (off_t) size) < 0) {
                int r = -errno;

                close(fd);
                unlinkat(root, name, 0);
                return io_failed(r, "make %s %llu bytes long", name, (unsigned long long) size);
        }
        *ret_fd = fd;
        return 0;
}

/* The file under its own name: what has it is whole. */
static int publish(int root, int fd, const char *uuid, const char *extension) {
        char tmp[IO_NAME_MAX], name[IO_NAME_MAX];

        if (directory_make_name(tmp, uuid, "tmp") < 0 || directory_make_name(name, uuid, extension) < 0)
                return 2;
        if (fsync(fd) < 0)
                return io_failed(-errno, "write %s to disk", tmp);
        if (renameat2(root, tmp, root, name, RENAME_NOREPLACE) < 0)
                return io_failed(-errno, "rename %s to %s", tmp, name);
        return directory_sync(root);
}

/* A raw disk of zeros, from nothing to its own name. */
int io_directory_create(int argc, char **argv) {
        AUTO_CLOSE int root = -1, fd = -1;
        char tmp[IO_NAME_MAX];
        uint64_t size;

        if (io_number(argv[2], &size) < 0 || directory_make_name(tmp, argv[1], "tmp") < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0 || make_blank(root, tmp, size, &fd) != 0)
                return 1;
        return publish(root, fd, argv[1], "raw");
}

/* A file of zeros with a name that it does not keep. */
int io_directory_blank(int argc, char **argv) {
        AUTO_CLOSE int root = -1, fd = -1;
        struct uuid uuid;
        size_t extension;
        uint64_t size;

        if (io_number(argv[2], &size) < 0 || parse_name(argv[1], &uuid, &extension) < 0)
                return 2;
        return directory_open(argv[0], &root) != 0 || make_blank(root, argv[1], size, &fd) != 0;
}

int io_directory_publish(int argc, char **argv) {
        AUTO_CLOSE int root = -1, fd = -1;
        char tmp[IO_NAME_MAX];

        if (directory_make_name(tmp, argv[1], "tmp") < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0)
                return 1;
        fd = io_open(root, tmp, O_RDWR, false);
        if (fd < 0)
                return io_failed(fd, "open %s", tmp);
        return publish(root, fd, argv[1], argv[2]);
}

/* Disks go, with all that may be there of them. Prints space, for what comes of a full disk. */
int io_directory_remove(int argc, char **argv) {
        AUTO_CLOSE int root = -1;
        char name[IO_NAME_MAX];

        if (directory_open(argv[0], &root) != 0)
                return 1;
        for (int i = 1; i < argc; i++)
                for (size_t j = 0; j < N_EXTENSIONS; j++) {
                        if (directory_make_name(name, argv[i], extensions[j]) < 0)
                                return 2;
                        if (directory_remove(root, name) != 0)
                                return 1;
                }
        return directory_sync(root) != 0 || print_space(root, false) != 0;
}

/* A raw disk. */
int io_directory_resize(int argc, char **argv) {
        AUTO_CLOSE int root = -1, fd = -1;
        char name[IO_NAME_MAX];
        uint64_t size;

        if (io_number(argv[2], &size) < 0 || directory_make_name(name, argv[1], "raw") < 0)
                return 2;
        if (directory_open(argv[0], &root) != 0)
                return 1;
        fd = io_open(root, name, O_RDWR, false);
        if (fd < 0)
                return io_failed(fd, "open %s", name);
        if (ftruncate(fd, (off_t) size) < 0 || fsync(fd) < 0)
                return io_failed(-errno, "make %s %llu bytes long", name, (unsigned long long) size);
        return 0;
}
