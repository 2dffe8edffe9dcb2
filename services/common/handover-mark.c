/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "handover-mark.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"

#define FILE_NAME "handover"
#define HEADER "xcp-handover 1\n"
#define SIZE_MAX_ 512u                  /* of the file: three lines, of which the longest has a peer */

static const char *const claims[_HANDOVER_CLAIM_N] = { "active", "retired", "stand-by" };       /* are on disks: never change them */

static int open_dir(const char *dir) {
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd < 0 ? -errno : fd;
}

static int parse(char *text, struct handover_mark *ret_mark) {
        struct handover_mark mark = { .epoch = 0 };
        char claim[16];
        int n = 0;

        if (strncmp(text, HEADER, sizeof HEADER - 1) != 0)
                return -EUCLEAN;
        text += sizeof HEADER - 1;
        if (sscanf(text, "%15s %" SCNu64 "%n", claim, &mark.epoch, &n) != 2 || text[n] != '\n' || mark.epoch == 0)
                return -EUCLEAN;
        text += n + 1;
        text[strcspn(text, "\n")] = '\0';
        if (strlen(text) > HANDOVER_MARK_PEER_MAX)
                return -EUCLEAN;
        strcpy(mark.peer, text);
        for (; mark.claim < _HANDOVER_CLAIM_N; mark.claim++)
                if (strcmp(claims[mark.claim], claim) == 0) {
                        *ret_mark = mark;
                        return 0;
                }
        return -EUCLEAN;
}

int handover_mark_read(const char *dir, struct handover_mark *ret_mark, int *ret_found) {
        AUTO_CLOSE int dir_fd = open_dir(dir), fd = -1;
        char text[SIZE_MAX_];
        ssize_t n;
        int r;

        if (dir_fd < 0)
                return dir_fd;
        fd = openat(dir_fd, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 && errno != ENOENT)
                return -errno;
        if (ret_found)
                *ret_found = fd >= 0;
        if (fd < 0) {
                *ret_mark = (struct handover_mark) { .claim = HANDOVER_ACTIVE, .epoch = 1 };
                return 0;
        }
        n = read(fd, text, sizeof text - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        r = parse(text, ret_mark);
        return r;
}

int handover_mark_prepare(const char *dir, const struct handover_mark *mark) {
        AUTO_CLOSE int dir_fd = open_dir(dir), fd = -1;
        char text[SIZE_MAX_], peer[HANDOVER_MARK_PEER_MAX + 1];
        int n;

        if (dir_fd < 0)
                return dir_fd;
        snprintf(peer, sizeof peer, "%s", mark->peer);
        for (char *p = peer; *p; p++)
                if ((unsigned char) *p < ' ')
                        *p = '?';
        n = snprintf(text, sizeof text, HEADER "%s %" PRIu64 "\n%s\n", claims[mark->claim], mark->epoch, peer);
        fd = openat(dir_fd, FILE_NAME ".new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                return -errno;
        if (write(fd, text, (size_t) n) != n)
                return errno ? -errno : -EIO;
        return fsync(fd) < 0 ? -errno : 0;
}

int handover_mark_put(const char *dir) {
        AUTO_CLOSE int dir_fd = open_dir(dir);

        if (dir_fd < 0)
                return dir_fd;
        return renameat(dir_fd, FILE_NAME ".new", dir_fd, FILE_NAME) < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

int handover_mark_write(const char *dir, const struct handover_mark *mark) {
        int r = handover_mark_prepare(dir, mark);

        return r < 0 ? r : handover_mark_put(dir);
}

int handover_mark_remove(const char *dir) {
        AUTO_CLOSE int dir_fd = open_dir(dir);

        if (dir_fd < 0)
                return dir_fd;
        return unlinkat(dir_fd, FILE_NAME, 0) < 0 && errno != ENOENT ? -errno : 0;
}
