/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Task lists: found by id, bounded by service and by caller. */

#include <errno.h>
#include <glib.h>

#include "idl-errors.h"
#include "task-list.h"

#define AUTO_ERROR __attribute__((cleanup(idl_error_done))) struct idl_error
#define AUTO_LIST __attribute__((cleanup(task_list_done))) struct task_list

static int add(struct task_list *list, uint64_t id, const char *caller) {
        AUTO_TASK struct task *task = NULL;
        int r;

        g_assert_cmpint(task_new(&task, id, &(struct task_origin) { "Count", "/", "Count", caller }, 0), ==, 0);
        r = task_list_add(list, task);
        if (r == 0)
                task = NULL;
        return r;
}

static void test_find(void) {
        AUTO_LIST list = TASK_LIST_NULL;

        g_assert_null(task_list_find(&list, 1));
        g_assert_null(task_list_remove(&list, 1));
        for (uint64_t id = 2; id <= 200; id += 2)
                g_assert_cmpint(add(&list, id, ":1.1"), ==, 0);
        g_assert_cmpint(add(&list, 200, ":1.1"), ==, -EINVAL);
        g_assert_cmpint(add(&list, 3, ":1.1"), ==, -EINVAL);
        for (uint64_t id = 0; id <= 202; id++) {
                struct task *task = task_list_find(&list, id);

                g_assert_cmpint(task != NULL, ==, id % 2 == 0 && id >= 2 && id <= 200);
                g_assert_true(!task || task->id == id);
        }
}

static void test_remove(void) {
        AUTO_LIST list = TASK_LIST_NULL;

        for (uint64_t id = 1; id <= 3; id++)
                add(&list, id, id == 2 ? ":1.2" : ":1.1");
        g_assert_true(task_list_has_caller(&list, ":1.2"));
        g_assert_null(task_free(task_list_remove(&list, 2)));
        g_assert_false(task_list_has_caller(&list, ":1.2"));
        g_assert_null(task_list_remove(&list, 2));
        g_assert_cmpuint(task_list_find(&list, 1)->id, ==, 1);
        g_assert_cmpuint(task_list_find(&list, 3)->id, ==, 3);
        g_assert_cmpuint(task_list_count(&list, TASK_WAITING), ==, 2);
        g_assert_cmpuint(task_list_count(&list, TASK_RUNNING), ==, 0);
}

static void test_bounds(void) {
        AUTO_LIST list = TASK_LIST_NULL;
        AUTO_ERROR error = IDL_ERROR_NULL;
        uint64_t id = 0;

        for (unsigned i = 0; i < TASKS_PER_CALLER_MAX; i++) {
                g_assert_cmpint(task_list_check(&list, ":1.1", &error), ==, 0);
                add(&list, ++id, ":1.1");
        }
        g_assert_cmpint(task_list_check(&list, ":1.1", &error), ==, -E2BIG);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_LIMIT_EXCEEDED);
        g_assert_cmpstr(error.message, ==, "tasks of this caller: 1025 is more than 1024");

        for (unsigned caller = 2; list.n_tasks < TASKS_MAX; caller++) {
                g_autofree char *name = g_strdup_printf(":1.%u", caller);

                for (unsigned i = 0; i < TASKS_PER_CALLER_MAX && list.n_tasks < TASKS_MAX; i++) {
                        g_assert_cmpint(task_list_check(&list, name, NULL), ==, 0);
                        add(&list, ++id, name);
                }
        }
        g_assert_cmpint(task_list_check(&list, ":1.999", &error), ==, -E2BIG);
        g_assert_cmpstr(error.message, ==, "tasks of this service: 4097 is more than 4096");

        task_free(task_list_remove(&list, 17));
        g_assert_cmpint(task_list_check(&list, ":1.1", NULL), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/task-list/a-task-is-found-by-its-id", test_find);
        g_test_add_func("/task-list/what-is-removed-is-gone", test_remove);
        g_test_add_func("/task-list/one-more-than-the-limit-is-refused", test_bounds);
        return g_test_run();
}
