/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One task: every state, and every request in every state. */

#include <errno.h>
#include <glib.h>
#include <math.h>

#include "idl-errors.h"
#include "task.h"

#define AUTO_ERROR __attribute__((cleanup(idl_error_done))) struct idl_error

static const struct task_origin origin = { "org.xen.xcp.test1.Counter.Count", "/org/xen/xcp/test", "Count to 7", ":1.5" };

static struct task *a_task(enum task_state state, bool cancellable) {
        AUTO_ERROR error = IDL_ERROR_NULL;
        struct task *task;

        g_assert_cmpint(task_new(&task, 7, &origin, 1000), ==, 0);
        task->cancellable = cancellable;
        if (state == TASK_WAITING)
                return task;
        g_assert_cmpint(task_run(task), ==, 0);
        if (state == TASK_CANCELLING)
                g_assert_cmpint(task_cancel(task, NULL), ==, 0);
        if (state == TASK_SUCCEEDED)
                g_assert_cmpint(task_succeed(task, NULL, 2000), ==, 0);
        if (state == TASK_FAILED) {
                idl_error_set_internal(&error, "counting", "no fingers");
                g_assert_cmpint(task_fail(task, &error, 2000), ==, 0);
        }
        if (state == TASK_CANCELLED) {
                g_assert_cmpint(task_cancel(task, NULL), ==, 0);
                idl_error_set_cancelled(&error, "Count");
                g_assert_cmpint(task_fail(task, &error, 2000), ==, 0);
        }
        return task;
}

static void test_states(void) {
        enum task_state found;

        for (enum task_state state = 0; state < _TASK_STATE_N; state++) {
                AUTO_TASK struct task *task = a_task(state, true);

                g_assert_cmpint(task->state, ==, state);
                g_assert_cmpint(task_ended(task), ==, task->ended_usec == 2000);
                g_assert_cmpint(task_state_from_name(task_state_name(state), &found), ==, 0);
                g_assert_cmpint(found, ==, state);
        }
        g_assert_cmpint(task_state_from_name("Lost", &found), ==, -EINVAL);
}

static void test_ended_is_ended(void) {
        for (enum task_state state = TASK_SUCCEEDED; state < _TASK_STATE_N; state++) {
                AUTO_TASK struct task *task = a_task(state, true);
                AUTO_ERROR error = IDL_ERROR_NULL, late = IDL_ERROR_NULL;

                idl_error_set_internal(&late, "something", "too late");
                g_assert_cmpint(task_run(task), ==, -EALREADY);
                g_assert_cmpint(task_advance(task, 1, 0), ==, -EALREADY);
                g_assert_cmpint(task_commit(task), ==, -EALREADY);
                g_assert_cmpint(task_succeed(task, NULL, 3000), ==, -EALREADY);
                g_assert_cmpint(task_fail(task, &late, 3000), ==, -EALREADY);
                g_assert_nonnull(late.name);
                if (state == TASK_CANCELLED)
                        g_assert_cmpint(task_cancel(task, &error), ==, 1);
                else {
                        g_assert_cmpint(task_cancel(task, &error), <, 0);
                        g_assert_cmpstr(error.name, ==, IDL_ERROR_BAD_STATE);
                        g_assert_nonnull(strstr(error.message, task_state_name(state)));
                }
                g_assert_cmpint(task->state, ==, state);
                g_assert_cmpuint(task->ended_usec, ==, 2000);
                g_assert_false(task->cancellable);
        }
}

static void test_cancel(void) {
        for (enum task_state state = TASK_WAITING; state <= TASK_RUNNING; state++) {
                AUTO_TASK struct task *task = a_task(state, true);
                AUTO_ERROR error = IDL_ERROR_NULL;

                g_assert_cmpint(task_cancel(task, &error), ==, 0);
                g_assert_cmpint(task_cancel(task, &error), ==, 1);
                g_assert_cmpint(task->state, ==, TASK_CANCELLING);
                g_assert_cmpint(task_run(task), ==, -ECANCELED);
                g_assert_cmpint(task_commit(task), ==, -ECANCELED);
                idl_error_set_cancelled(&error, "Count");
                g_assert_cmpint(task_fail(task, &error, 5), ==, 0);
                g_assert_cmpint(task->state, ==, TASK_CANCELLED);
                g_assert_cmpstr(task->error.name, ==, IDL_ERROR_CANCELLED);
                g_assert_null(error.name);
        }
}

static void test_cancel_too_late(void) {
        AUTO_TASK struct task *task = a_task(TASK_RUNNING, true), *never = a_task(TASK_RUNNING, false);
        AUTO_ERROR error = IDL_ERROR_NULL;

        g_assert_cmpint(task_commit(task), ==, 0);
        g_assert_cmpint(task_cancel(task, &error), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_NOT_CANCELLABLE);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        g_assert_cmpint(task_cancel(never, &error), <, 0);
        g_assert_cmpstr(error.name, ==, IDL_ERROR_NOT_CANCELLABLE);
}

static void test_cancelled_but_done(void) {
        AUTO_TASK struct task *succeeded = a_task(TASK_RUNNING, true), *failed = a_task(TASK_RUNNING, true);
        AUTO_ERROR error = IDL_ERROR_NULL;

        task_cancel(succeeded, NULL);
        g_assert_cmpint(task_succeed(succeeded, NULL, 5), ==, 0);
        g_assert_cmpint(succeeded->state, ==, TASK_SUCCEEDED);

        task_cancel(failed, NULL);
        idl_error_set_internal(&error, "counting", "no fingers");
        g_assert_cmpint(task_fail(failed, &error, 5), ==, 0);
        g_assert_cmpint(failed->state, ==, TASK_FAILED);
}

static void test_nobody_cancelled(void) {
        AUTO_TASK struct task *task = a_task(TASK_RUNNING, true);
        AUTO_ERROR error = IDL_ERROR_NULL;

        idl_error_set_cancelled(&error, "Count");
        g_assert_cmpint(task_fail(task, &error, 5), ==, 0);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
}

static void test_progress(void) {
        AUTO_TASK struct task *task = a_task(TASK_RUNNING, true), *fast = a_task(TASK_RUNNING, true);
        int told = 0;

        for (unsigned i = 0; i <= 100000; i++)          /* slow: 100 s in all */
                told += task_advance(task, i / 100000.0, i * UINT64_C(1000) * 1000);
        g_assert_cmpint(told, >=, 90);
        g_assert_cmpint(told, <=, 100);

        told = 0;
        for (unsigned i = 0; i <= 100000; i++)          /* 1 s in all */
                told += task_advance(fast, i / 100000.0, 1000 + i * UINT64_C(10));
        g_assert_cmpint(told, >=, 3);
        g_assert_cmpint(told, <=, 4);

        g_assert_cmpint(task_advance(task, 0.5, UINT64_MAX), ==, 0);
        g_assert_cmpint(task_advance(task, 7, UINT64_MAX), ==, 0);
        g_assert_cmpint(task_advance(task, (double) NAN, UINT64_MAX), ==, 0);
        g_assert_cmpint(task_advance(task, -1, UINT64_MAX), ==, 0);
        g_assert_cmpfloat(task->progress, ==, 1);
}

static void test_succeeded_is_complete(void) {
        AUTO_TASK struct task *task = a_task(TASK_RUNNING, true);

        g_assert_cmpint(task_advance(task, 0.3, UINT64_C(1000000)), ==, 1);
        g_assert_cmpint(task_succeed(task, NULL, 5), ==, 0);
        g_assert_cmpfloat(task->progress, ==, 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/task/every-state-is-reached-and-has-a-name", test_states);
        g_test_add_func("/task/an-end-is-an-end", test_ended_is_ended);
        g_test_add_func("/task/cancel-asks-once-and-the-work-ends", test_cancel);
        g_test_add_func("/task/cancel-is-refused-after-the-point-of-no-return", test_cancel_too_late);
        g_test_add_func("/task/work-may-be-done-before-cancel-reaches-it", test_cancelled_but_done);
        g_test_add_func("/task/work-that-nobody-cancelled-has-failed", test_nobody_cancelled);
        g_test_add_func("/task/progress-goes-forward-and-is-told-in-steps", test_progress);
        g_test_add_func("/task/what-has-succeeded-is-complete", test_succeeded_is_complete);
        return g_test_run();
}
