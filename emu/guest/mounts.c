/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
        const char *path;
        const char *type;
        unsigned long flags;
        const char *options;
        bool optional;                  /* a host may lack it, or forbid it */
};

static const struct place private_places[] = {
        { "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, false },
        { "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", false },
        { "/var/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", true },
        { "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", false },
        { "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", true },
        { "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL, true },
        /* So that it shows the domain's network devices. Refused where the host has covered parts of its own; then it shows the host's. */
        { "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL, true },
};

#define N_PRIVATE_PLACES (sizeof private_places / sizeof *private_places)

/* A directory of the host, held while what lies above it is covered. */
struct held {
        char path[PATH_MAX];            /* without symbolic links, so that it can be compared */
        int fd;                         /* a copy of the mounts from there on, or -1 */
};

static int fail(char *text, size_t n_text, const char *step, const char *path) {
        int r = errno > 0 ? -errno : -EINVAL;

        snprintf(text, n_text, "cannot %s %s: %s", step, path, strerror(-r));
        return r;
}

static bool is_below(const char *path, const char *above) {
        size_t n = strlen(above);

        return strncmp(path, above, n) == 0 && (path[n] == '/' || path[n] == 0);
}

static bool is_in_private_place(const char *path) {
        for (size_t i = 0; i < N_PRIVATE_PLACES; i++)
                if (is_below(path, private_places[i].path))
                        return true;
        return false;
}

static int hold(struct held *held, const char *path, char *text, size_t n_text) {
        if (!realpath(path, held->path))
                return fail(text, n_text, "find", path);
        held->fd = open_tree(AT_FDCWD, held->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
        if (held->fd < 0)
                return fail(text, n_text, "take a handle of", held->path);
        return 0;
}

static void release(struct held *held) {
        if (held->fd >= 0)
                close(held->fd);
        held->fd = -1;
}

static int make_directories(const char *path, char *text, size_t n_text) {
        char part[PATH_MAX];

        for (size_t n = 1; n <= strlen(path); n++) {
                if (path[n] != '/' && path[n] != 0)
                        continue;
                memcpy(part, path, n);
                part[n] = 0;
                if (mkdir(part, 0755) < 0 && errno != EEXIST)
                        return fail(text, n_text, "make directory", part);
        }
        return 0;
}

static int put_back(const struct held *held, char *text, size_t n_text) {
        int r = make_directories(held->path, text, n_text);

        if (r < 0)
                return r;
        if (move_mount(held->fd, "", AT_FDCWD, held->path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
                return fail(text, n_text, "put back", held->path);
        return 0;
}

static int cover(const struct place *place, char *text, size_t n_text) {
        if (mount(place->type, place->path, place->type, place->flags, place->options) < 0 && !place->optional)
                return fail(text, n_text, "mount a private", place->path);
        return 0;
}

/* The run directory lies anywhere, perhaps in a kept directory: it is hidden last, and nothing that is kept brings it back. */
static int hide_run_dir(const char *run_dir, const struct held *own, char *text, size_t n_text) {
        const struct place place = { run_dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", false };
        int r = make_directories(run_dir, text, n_text);

        if (r >= 0)
                r = cover(&place, text, n_text);
        if (r >= 0)
                r = put_back(own, text, n_text);
        return r;
}

static int rearrange(const char *run_dir, const struct held *own, const struct held *kept, size_t n_kept, char *text, size_t n_text) {
        int r;

        for (size_t i = 0; i < N_PRIVATE_PLACES; i++) {
                r = cover(&private_places[i], text, n_text);
                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < n_kept; i++) {
                r = is_in_private_place(kept[i].path) ? put_back(&kept[i], text, n_text) : 0;
                if (r < 0)
                        return r;
        }
        return hide_run_dir(run_dir, own, text, n_text);
}

int mounts_isolate(const struct emu_guest_boot *boot, char *text, size_t n_text) {
        char own_path[EMU_GUEST_PATH_MAX + sizeof "/dom4294967295"], run_dir[PATH_MAX];
        struct held own = { .fd = -1 }, kept[EMU_GUEST_KEEP_MAX];
        size_t n_kept = 0;
        int r;

        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
                return fail(text, n_text, "make private the mounts below", "/");
        if (!realpath(boot->run_dir, run_dir))
                return fail(text, n_text, "find", boot->run_dir);

        snprintf(own_path, sizeof own_path, "%s/dom%u", boot->run_dir, boot->domid);
        r = hold(&own, own_path, text, n_text);
        for (; r >= 0 && n_kept < boot->n_keep; n_kept++)
                r = hold(&kept[n_kept], boot->keep[n_kept], text, n_text);
        if (r >= 0)
                r = rearrange(run_dir, &own, kept, n_kept, text, n_text);

        while (n_kept > 0)
                release(&kept[--n_kept]);
        release(&own);
        return r;
}
