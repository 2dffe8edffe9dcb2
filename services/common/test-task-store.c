/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Task stores: what of a task is still there after a restart. */

#include <errno.h>
#include <glib.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "idl-errors.h"
#include "log.h"
#include "task-store.h"

#define AUTO_ERROR __attribute__((cleanup(idl_error_done))) struct idl_error
#define AUTO_LIST __attribute__((cleanup(task_list_done))) struct task_list
#define AUTO_MESSAGE __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message

struct fixture {
        char *dir;
        sd_bus *bus;                    /* that makes messages, and leads nowhere */
        struct task_store *store;
};

static void set_up(struct fixture *f, gconstpointer data) {
        int fds[2];

        f->dir = g_dir_make_tmp("xcp-tasks-XXXXXX", NULL);
        g_assert_nonnull(f->dir);
        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), ==, 0);
        sd_bus_new(&f->bus);
        sd_bus_set_fd(f->bus, fds[0], fds[0]);
        g_assert_cmpint(sd_bus_start(f->bus), >=, 0);
        close(fds[1]);
        g_assert_cmpint(task_store_open(&f->store, f->dir, "instance-1"), ==, 0);
}

static void tear_down(struct fixture *f, gconstpointer data) {
        g_autofree char *command = g_strdup_printf("rm -rf '%s'", f->dir);

        task_store_close(f->store);
        sd_bus_close_unref(f->bus);
        g_assert_cmpint(system(command), ==, 0);
        g_free(f->dir);
}

static struct task *begin(struct fixture *f, const char *caller) {
        const struct task_origin origin = { "org.xen.xcp.test1.Counter.Count", "/org/xen/xcp/test", "Count", caller };
        struct task *task;
        uint64_t id;

        g_assert_cmpint(task_store_add(f->store, "bus-1", &origin, 1000, &id), ==, 0);
        g_assert_cmpint(task_new(&task, id, &origin, 1000), ==, 0);
        task->cancellable = true;
        g_assert_cmpint(task_run(task), ==, 0);
        return task;
}

static void restart(struct fixture *f, const char *bus_id, struct task_list *list) {
        task_store_close(f->store);
        g_assert_cmpint(task_store_open(&f->store, f->dir, "instance-2"), ==, 0);
        g_assert_cmpint(task_store_load(f->store, f->bus, bus_id, 9000, list), ==, 0);
}

static void test_interrupted(struct fixture *f, gconstpointer data) {
        AUTO_TASK struct task *task = begin(f, ":1.1");
        AUTO_LIST list = TASK_LIST_NULL, again = TASK_LIST_NULL;
        const struct task *loaded;

        restart(f, "bus-1", &list);
        loaded = task_list_find(&list, task->id);
        g_assert_nonnull(loaded);
        g_assert_cmpint(loaded->state, ==, TASK_FAILED);
        g_assert_cmpstr(loaded->operation, ==, "org.xen.xcp.test1.Counter.Count");
        g_assert_cmpstr(loaded->object, ==, "/org/xen/xcp/test");
        g_assert_cmpstr(loaded->description, ==, "Count");
        g_assert_cmpstr(loaded->caller, ==, ":1.1");
        g_assert_cmpuint(loaded->begun_usec, ==, 1000);
        g_assert_cmpuint(loaded->ended_usec, ==, 9000);
        g_assert_cmpstr(loaded->error.name, ==, IDL_ERROR_INTERRUPTED);
        g_assert_cmpstr(loaded->error.message, ==, "Count was interrupted by a restart of its service");

        restart(f, "bus-1", &again);    /* and the next restart changes nothing */
        loaded = task_list_find(&again, task->id);
        g_assert_cmpstr(loaded->error.name, ==, IDL_ERROR_INTERRUPTED);
        g_assert_cmpstr(loaded->error.message, ==, "Count was interrupted by a restart of its service");
        g_assert_cmpuint(loaded->error.n_details, ==, 2);
        g_assert_cmpstr(loaded->error.details[1].name, ==, "instance");
        g_assert_cmpstr(loaded->error.details[1].s, ==, "instance-1");
}

static void test_finished(struct fixture *f, gconstpointer data) {
        AUTO_TASK struct task *task = begin(f, ":1.1");
        AUTO_LIST list = TASK_LIST_NULL;
        AUTO_MESSAGE *result = NULL;
        const struct task *loaded;
        const char *key, *value;

        g_assert_cmpint(sd_bus_message_new(f->bus, &result, SD_BUS_MESSAGE_METHOD_CALL), >=, 0);
        g_assert_cmpint(sd_bus_message_append(result, "a{sv}", 1, "vdi", "o", "/a"), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(result, 1, 0), >=, 0);
        task_succeed(task, result, 2000);
        g_assert_cmpint(task_store_update(f->store, f->bus, task), ==, 0);

        restart(f, "bus-1", &list);
        loaded = task_list_find(&list, task->id);
        g_assert_cmpint(loaded->state, ==, TASK_SUCCEEDED);
        g_assert_cmpuint(loaded->ended_usec, ==, 2000);
        g_assert_cmpfloat(loaded->progress, ==, 1);
        g_assert_cmpint(sd_bus_message_enter_container(loaded->result, 'a', "{sv}"), >, 0);
        g_assert_cmpint(sd_bus_message_read(loaded->result, "{sv}", &key, "o", &value), >, 0);
        g_assert_cmpstr(key, ==, "vdi");
        g_assert_cmpstr(value, ==, "/a");
}

static void test_details(struct fixture *f, gconstpointer data) {
        AUTO_TASK struct task *space = begin(f, ":1.1"), *cancelled = begin(f, ":1.2");
        AUTO_ERROR error = IDL_ERROR_NULL;
        AUTO_LIST list = TASK_LIST_NULL;
        const struct idl_error *loaded;

        idl_error_set_not_enough_space(&error, UINT64_MAX, 7);
        task_fail(space, &error, 2000);
        g_assert_cmpint(task_store_update(f->store, f->bus, space), ==, 0);
        task_cancel(cancelled, NULL);
        idl_error_set_cancelled(&error, "Count");
        task_fail(cancelled, &error, 2000);
        g_assert_cmpint(task_store_update(f->store, f->bus, cancelled), ==, 0);

        restart(f, "bus-1", &list);
        loaded = &task_list_find(&list, space->id)->error;
        g_assert_cmpstr(loaded->name, ==, IDL_ERROR_NOT_ENOUGH_SPACE);
        g_assert_cmpuint(loaded->n_details, ==, 2);
        g_assert_cmpstr(loaded->details[0].name, ==, "needed");
        g_assert_cmpuint(loaded->details[0].t, ==, UINT64_MAX);
        g_assert_cmpuint(loaded->details[1].t, ==, 7);
        g_assert_cmpint(task_list_find(&list, cancelled->id)->state, ==, TASK_CANCELLED);
}

static void test_other_bus(struct fixture *f, gconstpointer data) {
        AUTO_TASK struct task *task = begin(f, ":1.1"), *later = NULL;
        AUTO_LIST list = TASK_LIST_NULL;

        restart(f, "bus-2", &list);
        g_assert_cmpuint(list.n_tasks, ==, 0);
        later = begin(f, ":1.1");
        g_assert_cmpuint(later->id, >, task->id);       /* the id is not used again, although its row is gone */
}

static void test_removed(struct fixture *f, gconstpointer data) {
        AUTO_TASK struct task *task = begin(f, ":1.1");
        AUTO_LIST list = TASK_LIST_NULL;

        g_assert_cmpint(task_store_remove(f->store, task->id), ==, 0);
        restart(f, "bus-1", &list);
        g_assert_cmpuint(list.n_tasks, ==, 0);
}

int main(int argc, char **argv) {
        const struct {
                const char *name;
                void (*test)(struct fixture *f, gconstpointer data);
        } tests[] = {
                { "/task-store/a-task-that-had-not-ended-was-interrupted", test_interrupted },
                { "/task-store/a-result-comes-back", test_finished },
                { "/task-store/an-error-comes-back-with-its-details", test_details },
                { "/task-store/tasks-of-another-bus-are-dropped-and-their-ids-not-used", test_other_bus },
                { "/task-store/what-is-removed-does-not-come-back", test_removed },
        };

        g_test_init(&argc, &argv, NULL);
        log_set_level(LOG_EMERG);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, struct fixture, NULL, set_up, tests[i].test, tear_down);
        return g_test_run();
}
