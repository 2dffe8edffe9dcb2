/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Marks: whose a state is, read as it was written, and nothing that is half of one. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "handover-mark.h"

struct fixture {
        char *dir, *path;
};

static void set_up(struct fixture *fixture, const void *data) {
        fixture->dir = g_dir_make_tmp("xcp-mark-XXXXXX", NULL);
        g_assert_nonnull(fixture->dir);
        fixture->path = g_build_filename(fixture->dir, "handover", NULL);
}

static void tear_down(struct fixture *fixture, const void *data) {
        g_unlink(fixture->path);
        g_assert_cmpint(g_rmdir(fixture->dir), ==, 0);
        g_free(fixture->path);
        g_free(fixture->dir);
}

static void test_none_is_active(struct fixture *fixture, const void *data) {
        struct handover_mark mark;
        int found = 1;

        g_assert_cmpint(handover_mark_read(fixture->dir, &mark, &found), ==, 0);
        g_assert_cmpint(found, ==, 0);
        g_assert_cmpint(mark.claim, ==, HANDOVER_ACTIVE);
        g_assert_cmpuint(mark.epoch, ==, 1);
        g_assert_cmpint(handover_mark_read("/nonexistent", &mark, NULL), ==, -ENOENT);
}

static void test_back(struct fixture *fixture, const void *data) {
        for (enum handover_claim claim = 0; claim < _HANDOVER_CLAIM_N; claim++) {
                struct handover_mark mark = { .claim = claim, .epoch = UINT64_MAX - claim }, read;
                int found = 0;

                memset(mark.peer, 'x', sizeof mark.peer - 1);
                mark.peer[3] = '\n';
                g_assert_cmpint(handover_mark_write(fixture->dir, &mark), ==, 0);
                g_assert_cmpint(handover_mark_read(fixture->dir, &read, &found), ==, 0);
                g_assert_cmpint(found, ==, 1);
                mark.peer[3] = '?';
                g_assert_cmpint(read.claim, ==, claim);
                g_assert_cmpuint(read.epoch, ==, mark.epoch);
                g_assert_cmpstr(read.peer, ==, mark.peer);
        }
}

static void test_prepared(struct fixture *fixture, const void *data) {
        const struct handover_mark mark = { .claim = HANDOVER_RETIRED, .epoch = 7, .peer = "them" };
        struct handover_mark read;
        int found = 1;

        g_assert_cmpint(handover_mark_prepare(fixture->dir, &mark), ==, 0);
        g_assert_cmpint(handover_mark_read(fixture->dir, &read, &found), ==, 0);
        g_assert_cmpint(found, ==, 0);
        g_assert_cmpint(handover_mark_put(fixture->dir), ==, 0);
        g_assert_cmpint(handover_mark_put(fixture->dir), ==, -ENOENT);
        g_assert_cmpint(handover_mark_read(fixture->dir, &read, &found), ==, 0);
        g_assert_cmpint(found, ==, 1);
        g_assert_cmpint(read.claim, ==, HANDOVER_RETIRED);
        g_assert_cmpuint(read.epoch, ==, 7);

        g_assert_cmpint(handover_mark_remove(fixture->dir), ==, 0);
        g_assert_cmpint(handover_mark_remove(fixture->dir), ==, 0);
        g_assert_cmpint(handover_mark_read(fixture->dir, &read, &found), ==, 0);
        g_assert_cmpint(found, ==, 0);
}

static void test_half(struct fixture *fixture, const void *data) {
        static const char *const wrong[] = { "",       "xcp-handover",           "xcp-handover 1\n",          "xcp-handover 1\nactive",
                                             "xcp-handover 1\nactive 3",         "xcp-handover 1\nactive 0\n\n", "xcp-handover 2\nactive 3\n\n",
                                             "xcp-handover 1\nsomebody 3\n\n" };
        struct handover_mark mark;

        for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_assert_true(g_file_set_contents(fixture->path, wrong[i], -1, NULL));
                g_assert_cmpint(handover_mark_read(fixture->dir, &mark, NULL), ==, -EUCLEAN);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add("/handover-mark/without-one-a-state-is-active", struct fixture, NULL, set_up, test_none_is_active, tear_down);
        g_test_add("/handover-mark/is-read-as-it-was-written", struct fixture, NULL, set_up, test_back, tear_down);
        g_test_add("/handover-mark/half-of-one-is-refused", struct fixture, NULL, set_up, test_half, tear_down);
        g_test_add("/handover-mark/prepared-counts-once-it-is-put", struct fixture, NULL, set_up, test_prepared, tear_down);
        return g_test_run();
}
