/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Data paths: each step from each state, repeated steps, and readers beside each other. */

#include <errno.h>
#include <glib.h>

#include "data-path.h"

#define FILE_KIND XCP_DATA_PATH_KIND_FILE
#define RW XCP_DISK_MODE_READ_WRITE
#define RO XCP_DISK_MODE_READ_ONLY

struct fixture {
        struct data_paths paths;
        struct data_path_disk disk;
        struct idl_error error;
};

static void set_up(struct fixture *f, gconstpointer data) {
        f->disk = (struct data_path_disk) { "u", .kinds = 1u << FILE_KIND };
}

static void tear_down(struct fixture *f, gconstpointer data) {
        data_paths_done(&f->paths);
        idl_error_done(&f->error);
}

static int attach(struct fixture *f, const char *reader, enum xcp_disk_mode mode) {
        const enum xcp_data_path_kind kinds[] = { XCP_DATA_PATH_KIND_NBD, FILE_KIND };

        idl_error_done(&f->error);
        return data_paths_attach(&f->paths, &f->disk, reader, mode, kinds, 2, &f->error);
}

static int activate(struct fixture *f, const char *reader) {
        idl_error_done(&f->error);
        return data_paths_activate(&f->paths, &f->disk, reader, &f->error);
}

static int deactivate(struct fixture *f, const char *reader) {
        idl_error_done(&f->error);
        return data_paths_deactivate(&f->paths, reader, &f->error);
}

/* -1: the reader is not there */
static int state(struct fixture *f, const char *reader) {
        const struct data_path *path = data_paths_find(&f->paths, reader);

        return path ? (int) path->state : -1;
}

static void test_there_and_back(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(attach(f, "a", RW), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(state(f, "a"), ==, XCP_DATA_PATH_STATE_ATTACHED);
        g_assert_cmpint(activate(f, "a"), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(state(f, "a"), ==, XCP_DATA_PATH_STATE_ACTIVATED);
        g_assert_cmpint(deactivate(f, "a"), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(state(f, "a"), ==, XCP_DATA_PATH_STATE_ATTACHED);
        g_assert_cmpint(data_paths_detach(&f->paths, "a"), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(state(f, "a"), ==, -1);
}

static void test_each_step_can_be_repeated(struct fixture *f, gconstpointer data) {
        attach(f, "a", RW);
        g_assert_cmpint(attach(f, "a", RW), ==, DATA_PATH_SAME);
        activate(f, "a");
        g_assert_cmpint(activate(f, "a"), ==, DATA_PATH_SAME);
        g_assert_cmpint(attach(f, "a", RW), ==, DATA_PATH_SAME);
        g_assert_cmpint(state(f, "a"), ==, XCP_DATA_PATH_STATE_ACTIVATED);
        deactivate(f, "a");
        g_assert_cmpint(deactivate(f, "a"), ==, DATA_PATH_SAME);
        data_paths_detach(&f->paths, "a");
        g_assert_cmpint(data_paths_detach(&f->paths, "a"), ==, DATA_PATH_SAME);
        g_assert_cmpuint(f->paths.n, ==, 0);
}

static void test_detach_from_activated(struct fixture *f, gconstpointer data) {
        attach(f, "a", RW);
        activate(f, "a");
        g_assert_cmpint(data_paths_detach(&f->paths, "a"), ==, DATA_PATH_CHANGED);
        g_assert_null(data_paths_writer(&f->paths, NULL));
}

static void test_steps_without_attach(struct fixture *f, gconstpointer data) {
        g_assert_cmpint(activate(f, "a"), ==, -ENOENT);
        g_assert_cmpint(deactivate(f, "a"), ==, -ENOENT);
        g_assert_cmpstr(f->error.message, ==, "There is no data path 'a'");
}

static void test_attach_otherwise_is_busy(struct fixture *f, gconstpointer data) {
        const enum xcp_data_path_kind only[] = { XCP_DATA_PATH_KIND_XEN_BLOCK };

        attach(f, "a", RO);
        g_assert_cmpint(attach(f, "a", RW), ==, -EBUSY);
        idl_error_done(&f->error);
        g_assert_cmpint(data_paths_attach(&f->paths, &f->disk, "a", RO, only, 1, &f->error), ==, -EBUSY);
}

static void test_two_writers(struct fixture *f, gconstpointer data) {
        attach(f, "a", RW);
        g_assert_cmpint(attach(f, "b", RW), ==, DATA_PATH_CHANGED);     /* as in a migration: only one at a time is activated */
        activate(f, "a");
        g_assert_cmpint(activate(f, "b"), ==, -EBUSY);
        g_assert_cmpstr(f->error.message, ==, "The VDI 'u' is in use by a");
        deactivate(f, "a");
        g_assert_cmpint(activate(f, "b"), ==, DATA_PATH_CHANGED);
}

static void test_two_writers_of_a_sharable_disk(struct fixture *f, gconstpointer data) {
        f->disk.sharable = true;
        attach(f, "a", RW), attach(f, "b", RW);
        activate(f, "a");
        g_assert_cmpint(activate(f, "b"), ==, DATA_PATH_CHANGED);
}

static void test_readers_beside_each_other(struct fixture *f, gconstpointer data) {
        attach(f, "a", RO), attach(f, "b", RO), attach(f, "c", RW);
        g_assert_cmpint(activate(f, "a"), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(activate(f, "b"), ==, DATA_PATH_CHANGED);
        g_assert_cmpint(activate(f, "c"), ==, DATA_PATH_CHANGED);
        deactivate(f, "b");
        g_assert_cmpint(activate(f, "b"), ==, -EBUSY);
        g_assert_cmpstr(data_paths_writer(&f->paths, NULL)->reader, ==, "c");
        g_assert_null(data_paths_writer(&f->paths, "c"));
}

static void test_read_only_disk(struct fixture *f, gconstpointer data) {
        f->disk.read_only = true;
        g_assert_cmpint(attach(f, "a", RW), ==, -EROFS);
        g_assert_cmpint(attach(f, "a", RO), ==, DATA_PATH_CHANGED);
        f->disk.read_only = false;
        attach(f, "b", RW);
        f->disk.read_only = true;               /* became so between the steps */
        g_assert_cmpint(activate(f, "b"), ==, -EROFS);
}

static void test_kinds_that_are_not_supported_are_named(struct fixture *f, gconstpointer data) {
        const enum xcp_data_path_kind kinds[] = { XCP_DATA_PATH_KIND_VHOST_USER, XCP_DATA_PATH_KIND_XEN_BLOCK };

        g_assert_cmpint(data_paths_attach(&f->paths, &f->disk, "a", RW, kinds, 2, &f->error), ==, -EOPNOTSUPP);
        g_assert_cmpstr(f->error.message, ==, "a data path of kind VhostUser or XenBlock is not supported here");
        idl_error_done(&f->error);
        g_assert_cmpint(data_paths_attach(&f->paths, &f->disk, "a", RW, kinds, 0, &f->error), ==, -EOPNOTSUPP);
}

static void test_readers_are_limited(struct fixture *f, gconstpointer data) {
        for (unsigned i = 0; i < DATA_PATHS_MAX; i++) {
                g_autofree char *reader = g_strdup_printf("r%u", i);

                g_assert_cmpint(attach(f, reader, RO), ==, DATA_PATH_CHANGED);
        }
        g_assert_cmpint(attach(f, "more", RO), ==, -E2BIG);
        g_assert_cmpint(attach(f, "r7", RO), ==, DATA_PATH_SAME);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(name, function) g_test_add("/data-path/" name, struct fixture, NULL, set_up, function, tear_down)
        ADD("there-and-back", test_there_and_back);
        ADD("each-step-can-be-repeated", test_each_step_can_be_repeated);
        ADD("detach-from-activated", test_detach_from_activated);
        ADD("steps-without-attach", test_steps_without_attach);
        ADD("attach-otherwise-is-busy", test_attach_otherwise_is_busy);
        ADD("two-writers", test_two_writers);
        ADD("two-writers-of-a-sharable-disk", test_two_writers_of_a_sharable_disk);
        ADD("readers-beside-each-other", test_readers_beside_each_other);
        ADD("read-only-disk", test_read_only_disk);
        ADD("kinds-that-are-not-supported-are-named", test_kinds_that_are_not_supported_are_named);
        ADD("readers-are-limited", test_readers_are_limited);
        return g_test_run();
}
