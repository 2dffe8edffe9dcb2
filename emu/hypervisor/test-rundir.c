/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The run directory: one hypervisor in it, and that what earlier ones left goes, and nothing else. */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol.h"
#include "rundir.h"

struct fixture {
        char *top;                      /* everything is below */
        char *path;                     /* the run directory, not there yet */
        int dir_fd, lock_fd;
};

static void set_up(struct fixture *f, gconstpointer data) {
        f->top = g_dir_make_tmp("xcpbus-rundir-XXXXXX", NULL);
        g_assert_nonnull(f->top);
        f->path = g_build_filename(f->top, "run", NULL);
        f->dir_fd = f->lock_fd = -1;
}

static void tear_down(struct fixture *f, gconstpointer data) {
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->top);

        if (f->dir_fd >= 0) {
                close(f->dir_fd);
                close(f->lock_fd);
        }
        g_assert_cmpint(system(command), ==, 0);
        g_free(f->path);
        g_free(f->top);
}

static void open_it(struct fixture *f) {
        g_assert_cmpint(rundir_open(f->path, &f->dir_fd, &f->lock_fd), ==, 0);
}

static void close_it(struct fixture *f) {
        close(f->dir_fd);
        close(f->lock_fd);
        f->dir_fd = f->lock_fd = -1;
}

static int try_open(const char *path) {
        int dir_fd = -1, lock_fd = -1, r = rundir_open(path, &dir_fd, &lock_fd);

        g_assert_true((r == 0) == (dir_fd >= 0) && (r == 0) == (lock_fd >= 0));
        if (r == 0) {
                close(dir_fd);
                close(lock_fd);
        }
        return r;
}

/* Makes a file below top, with the folders it needs. */
static void put(struct fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->top, name, NULL);
        g_autofree char *folder = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static bool is_there(struct fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->top, name, NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void test_made(struct fixture *f, gconstpointer data) {
        GStatBuf st;

        open_it(f);
        g_assert_cmpint(g_stat(f->path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777 & ~0700, ==, 0);
        g_assert_true(is_there(f, "run/xenemud/lock"));
        g_assert_cmpint(fcntl(f->dir_fd, F_GETFD), ==, FD_CLOEXEC);
        g_assert_cmpint(fcntl(f->lock_fd, F_GETFD), ==, FD_CLOEXEC);
}

static void test_one_at_a_time(struct fixture *f, gconstpointer data) {
        open_it(f);
        put(f, "run/dom1/xen");
        put(f, "run/xenemud/control");
        g_assert_cmpint(try_open(f->path), ==, -EBUSY);
        g_assert_true(is_there(f, "run/dom1/xen"));
        g_assert_true(is_there(f, "run/xenemud/control"));
        close_it(f);
        g_assert_cmpint(try_open(f->path), ==, 0);
        g_assert_false(is_there(f, "run/dom1"));
        g_assert_false(is_there(f, "run/xenemud/control"));
}

static void test_leftovers(struct fixture *f, gconstpointer data) {
        static const char *const go[] = { "run/dom0/xenstored/tdb", "run/dom7/a/b/c/d", "run/dom32751/.hidden", "run/dom12" };
        static const char *const stay[] = {
                "run/dom/x", "run/domino/x", "run/dom1x/x", "run/dom-1", "run/1dom", "run/xenemud/log", "run/other/dom3",
                "run/dom99999999999999999999999/x",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(go); i++)
                put(f, go[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(stay); i++)
                put(f, stay[i]);
        open_it(f);
        g_assert_false(is_there(f, "run/dom0") || is_there(f, "run/dom7") || is_there(f, "run/dom32751") || is_there(f, "run/dom12"));
        for (size_t i = 0; i < G_N_ELEMENTS(stay); i++)
                g_assert_true(is_there(f, stay[i]));
}

static void test_domain(struct fixture *f, gconstpointer data) {
        int fd;

        open_it(f);
        put(f, "run/dom3/old");
        fd = rundir_make_domain(f->dir_fd, 3);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(fcntl(fd, F_GETFD), ==, FD_CLOEXEC);
        g_assert_true(is_there(f, "run/dom3"));
        g_assert_false(is_there(f, "run/dom3/old"));
        put(f, "run/dom3/new");
        put(f, "run/dom33/other");
        close(fd);

        rundir_remove_domain(f->dir_fd, 3);
        g_assert_false(is_there(f, "run/dom3"));
        g_assert_true(is_there(f, "run/dom33/other"));
        rundir_remove_domain(f->dir_fd, 3);
        rundir_remove_domain(f->dir_fd, 4711);
        rundir_remove_domains(f->dir_fd);
        g_assert_false(is_there(f, "run/dom33"));
}

static void test_links(struct fixture *f, gconstpointer data) {
        g_autofree char *outside = g_build_filename(f->top, "outside", NULL);
        g_autofree char *domain = g_build_filename(f->path, "dom2", NULL);
        int fd;

        open_it(f);
        put(f, "outside/precious");
        put(f, "run/dom1/x");
        fd = openat(f->dir_fd, "dom1", O_DIRECTORY | O_RDONLY);
        g_assert_cmpint(symlinkat(outside, fd, "link"), ==, 0);
        close(fd);
        g_assert_cmpint(symlink(outside, domain), ==, 0);

        rundir_remove_domains(f->dir_fd);
        g_assert_false(is_there(f, "run/dom1") || is_there(f, "run/dom2"));
        g_assert_true(is_there(f, "outside/precious"));

        g_assert_cmpint(symlink(outside, domain), ==, 0);
        fd = rundir_make_domain(f->dir_fd, 2);
        g_assert_cmpint(fd, >=, 0);
        close(fd);
        g_assert_true(is_there(f, "outside/precious"));
        g_assert_false(g_file_test(domain, G_FILE_TEST_IS_SYMLINK));
}

/* In a child, whose mounts are its own. Returns its exit status. */
static int remove_with_mount(struct fixture *f) {
        g_autofree char *outside = g_build_filename(f->top, "outside", NULL);
        g_autofree char *inside = g_build_filename(f->path, "dom1/inside", NULL);

        int dir_fd;

        if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount(outside, inside, NULL, MS_BIND, NULL) < 0)
                return 77;
        g_assert_true(is_there(f, "run/dom1/inside/precious"));
        dir_fd = open(f->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC); /* f's is of the old mounts, where there is nothing to enter */
        rundir_remove_domain(dir_fd, 1);
        close(dir_fd);
        return is_there(f, "run/dom1/inside/precious") ? 0 : 1;
}

static void test_mounts(struct fixture *f, gconstpointer data) {
        int status;
        pid_t pid;

        open_it(f);
        put(f, "outside/precious");
        put(f, "run/dom1/inside/x");
        pid = fork();
        g_assert_cmpint(pid, >=, 0);
        if (pid == 0)
                _exit(remove_with_mount(f));

        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                g_test_skip("no mounts can be made here");
        else
                g_assert_cmpint(WEXITSTATUS(status), ==, 0);
        g_assert_true(is_there(f, "outside/precious"));
}

/* Folders in folders: as deep as we go, and so deep that it stays, which is not an error. */
static void test_deep(struct fixture *f, gconstpointer data) {
        for (unsigned int depth = 60; depth < 80; depth += 19) {
                g_autoptr(GString) name = g_string_new("run/dom1");

                for (unsigned int i = 0; i < depth; i++)
                        g_string_append(name, "/d");
                put(f, name->str);
                open_it(f);
                g_assert_true(is_there(f, "run/dom1") == (depth > 64));
                close_it(f);
        }
}

static void test_path_length(struct fixture *f, gconstpointer data) {
        size_t n = strlen(f->top) + 1;
        char path[EMU_RUN_DIR_MAX + 2] = {};

        g_assert_cmpuint(n, <, EMU_RUN_DIR_MAX);
        memset(path, 'r', sizeof path - 1);
        memcpy(path, f->top, n - 1);
        path[n - 1] = '/';
        g_assert_cmpint(try_open(path), ==, -ENAMETOOLONG);
        path[EMU_RUN_DIR_MAX] = '\0';
        g_assert_cmpint(try_open(path), ==, 0);
        g_assert_cmpuint(strlen(path) + strlen("/dom32751/xenstored/socket"), ==, 107);
}

static void test_refused(struct fixture *f, gconstpointer data) {
        g_autofree char *missing = g_build_filename(f->top, "missing/run", NULL);
        g_autofree char *link = g_build_filename(f->top, "link", NULL);
        g_autofree char *file = g_build_filename(f->top, "file", NULL);

        put(f, "file");
        g_assert_cmpint(symlink(f->top, link), ==, 0);
        g_assert_cmpint(try_open(missing), ==, -ENOENT);
        g_assert_cmpint(try_open(file), ==, -ENOTDIR);
        g_assert_cmpint(try_open(link), <, 0);
        g_assert_false(is_there(f, "xenemud"));

        g_assert_cmpint(g_mkdir(f->path, 0700), ==, 0);
        put(f, "run/xenemud");
        g_assert_cmpint(try_open(f->path), ==, -ENOTDIR);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define add(path, test) g_test_add("/rundir/" path, struct fixture, NULL, set_up, test, tear_down)
        add("made-if-missing-and-private", test_made);
        add("a-second-hypervisor-is-EBUSY-and-changes-nothing", test_one_at_a_time);
        add("leftover-domains-go-and-nothing-else", test_leftovers);
        add("a-domain's-folder-begins-empty-and-goes", test_domain);
        add("removal-follows-no-link", test_links);
        add("removal-enters-no-mount", test_mounts);
        add("removal-has-a-depth", test_deep);
        add("the-longest-path", test_path_length);
        add("what-cannot-be-a-run-directory-is-refused", test_refused);
        return g_test_run();
}
