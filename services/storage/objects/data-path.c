/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "data-path.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "idl-errors.h"

void data_paths_done(struct data_paths *paths) {
        for (size_t i = 0; i < paths->n; i++)
                free(paths->items[i].reader);
        free(paths->items);
        *paths = (struct data_paths) {};
}

static struct data_path *find(const struct data_paths *paths, const char *reader) {
        for (size_t i = 0; i < paths->n; i++)
                if (strcmp(paths->items[i].reader, reader) == 0)
                        return &paths->items[i];
        return NULL;
}

const struct data_path *data_paths_find(const struct data_paths *paths, const char *reader) {
        return find(paths, reader);
}

const struct data_path *data_paths_writer(const struct data_paths *paths, const char *other_than) {
        for (size_t i = 0; i < paths->n; i++) {
                const struct data_path *path = &paths->items[i];

                if (path->state == XCP_DATA_PATH_STATE_ACTIVATED && path->mode == XCP_DISK_MODE_READ_WRITE &&
                    !(other_than && strcmp(path->reader, other_than) == 0))
                        return path;
        }
        return NULL;
}

bool data_paths_is_other_active(const struct data_paths *paths, const char *other_than) {
        for (size_t i = 0; i < paths->n; i++)
                if (paths->items[i].state == XCP_DATA_PATH_STATE_ACTIVATED && strcmp(paths->items[i].reader, other_than) != 0)
                        return true;
        return false;
}

int data_paths_restore(struct data_paths *paths, const char *reader, enum xcp_data_path_kind kind, enum xcp_disk_mode mode,
                       enum xcp_data_path_state state) {
        struct data_path *items = reallocarray(paths->items, paths->n + 1, sizeof *items);
        char *copy = strdup(reader);

        if (items)
                paths->items = items;
        if (!items || !copy) {
                free(copy);
                return -ENOMEM;
        }
        items[paths->n++] = (struct data_path) { copy, kind, mode, state };
        return DATA_PATH_CHANGED;
}

/* Names the kinds that were asked for. */
static int refuse_kinds(const enum xcp_data_path_kind *kinds, size_t n_kinds, struct idl_error *error) {
        char text[160] = "a data path of no kind";
        size_t n = 0;

        for (size_t i = 0; i < n_kinds && n < sizeof text; i++)
                n += (size_t) snprintf(text + n, sizeof text - n, "%s%s", i == 0 ? "a data path of kind " : " or ",
                                       xcp_data_path_kind_to_string(kinds[i]));
        return idl_error_set_not_supported(error, text);
}

/* The same way again, if the reader says nothing else. */
static int attach_again(const struct data_path *path, const char *uuid, enum xcp_disk_mode mode, const enum xcp_data_path_kind *kinds,
                        size_t n_kinds, struct idl_error *error) {
        if (path->mode == mode)
                for (size_t i = 0; i < n_kinds; i++)
                        if (kinds[i] == path->kind)
                                return DATA_PATH_SAME;
        return idl_error_set_busy(error, "VDI", uuid, path->reader);
}

int data_paths_check_attach(const struct data_paths *paths, const struct data_path_disk *disk, const char *reader, enum xcp_disk_mode mode,
                            const enum xcp_data_path_kind *kinds, size_t n_kinds, enum xcp_data_path_kind *ret_kind, struct idl_error *error) {
        const struct data_path *path = find(paths, reader);

        if (path) {
                *ret_kind = path->kind;
                return attach_again(path, disk->uuid, mode, kinds, n_kinds, error);
        }
        if (mode == XCP_DISK_MODE_READ_WRITE && disk->read_only)
                return idl_error_set_read_only(error, "VDI", disk->uuid);
        if (paths->n >= DATA_PATHS_MAX)
                return idl_error_set_limit_exceeded(error, "readers of this disk", paths->n + 1, DATA_PATHS_MAX);
        for (size_t i = 0; i < n_kinds; i++)
                if (disk->kinds & 1u << kinds[i]) {
                        *ret_kind = kinds[i];
                        return DATA_PATH_CHANGED;
                }
        return refuse_kinds(kinds, n_kinds, error);
}

int data_paths_attach(struct data_paths *paths, const struct data_path_disk *disk, const char *reader, enum xcp_disk_mode mode,
                      const enum xcp_data_path_kind *kinds, size_t n_kinds, struct idl_error *error) {
        enum xcp_data_path_kind kind;
        int r;

        r = data_paths_check_attach(paths, disk, reader, mode, kinds, n_kinds, &kind, error);
        return r == DATA_PATH_CHANGED ? data_paths_restore(paths, reader, kind, mode, XCP_DATA_PATH_STATE_ATTACHED) : r;
}

int data_paths_check_activate(const struct data_paths *paths, const struct data_path_disk *disk, const char *reader, struct idl_error *error) {
        const struct data_path *path = find(paths, reader), *writer;

        if (!path)
                return idl_error_set_does_not_exist(error, "data path", reader);
        if (path->state == XCP_DATA_PATH_STATE_ACTIVATED)
                return DATA_PATH_SAME;
        if (path->mode == XCP_DISK_MODE_READ_WRITE && disk->read_only)
                return idl_error_set_read_only(error, "VDI", disk->uuid);
        writer = data_paths_writer(paths, reader);
        if (writer && !disk->sharable)
                return idl_error_set_busy(error, "VDI", disk->uuid, writer->reader);
        return DATA_PATH_CHANGED;
}

int data_paths_activate(struct data_paths *paths, const struct data_path_disk *disk, const char *reader, struct idl_error *error) {
        int r = data_paths_check_activate(paths, disk, reader, error);

        if (r == DATA_PATH_CHANGED)
                find(paths, reader)->state = XCP_DATA_PATH_STATE_ACTIVATED;
        return r;
}

int data_paths_deactivate(struct data_paths *paths, const char *reader, struct idl_error *error) {
        struct data_path *path = find(paths, reader);

        if (!path)
                return idl_error_set_does_not_exist(error, "data path", reader);
        if (path->state == XCP_DATA_PATH_STATE_ATTACHED)
                return DATA_PATH_SAME;
        path->state = XCP_DATA_PATH_STATE_ATTACHED;
        return DATA_PATH_CHANGED;
}

int data_paths_detach(struct data_paths *paths, const char *reader) {
        struct data_path *path = find(paths, reader);

        if (!path)
                return DATA_PATH_SAME;
        free(path->reader);
        paths->n--;
        memmove(path, path + 1, (size_t) (paths->items + paths->n - path) * sizeof *path);
        return DATA_PATH_CHANGED;
}
