/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "remote-task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "log.h"
#include "remote-error.h"

#define TASK_INTERFACE "org.xen.xcp.Task1"
#define PREFIXES_MAX 4u                 /* services that are called */
#define EARLY_MAX 64u                   /* of signals kept for replies that have not come yet */

struct remote_tasks {
        sd_bus *bus;
        sd_bus_slot *owners;
        struct {
                char *path;             /* signals of tasks below it are asked for */
                sd_bus_slot *slot;
        } prefixes[PREFIXES_MAX];
        size_t n_prefixes;
        struct remote_task *first;
        sd_bus_message *early[EARLY_MAX];       /* Finished of tasks that nobody knows yet: a reply may come after it */
        size_t n_early;
};

struct remote_task {
        struct remote_tasks *tasks;
        struct remote_task *next;
        char *service;                  /* the name that was called */
        char *owner;                    /* the connection that answered */
        char *path;                     /* of the task; NULL until there is a reply */
        sd_bus_slot *reply;
        sd_event_source *timer;
        bool cancelled;
        uint64_t timeout_usec;
        void (*on_reply)(void *userdata, sd_bus_message *reply);
        remote_task_done_t done;
        void *userdata;
};

static size_t n_unanswered(const struct remote_tasks *tasks) {
        size_t n = 0;

        for (const struct remote_task *task = tasks->first; task; task = task->next)
                n += !task->path;
        return n;
}

static void forget_early(struct remote_tasks *tasks) {
        while (tasks->n_early > 0)
                sd_bus_message_unref(tasks->early[--tasks->n_early]);
}

struct remote_task *remote_task_free(struct remote_task *task) {
        if (!task)
                return NULL;
        for (struct remote_task **p = &task->tasks->first; *p; p = &(*p)->next)
                if (*p == task) {
                        *p = task->next;
                        break;
                }
        if (n_unanswered(task->tasks) == 0)
                forget_early(task->tasks);
        sd_bus_slot_unref(task->reply);
        sd_event_source_disable_unref(task->timer);
        free(task->service);
        free(task->owner);
        free(task->path);
        free(task);
        return NULL;
}

static void call_task(struct remote_task *task, const char *member) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        if (!task->path)
                return;
        r = sd_bus_message_new_method_call(task->tasks->bus, &message, task->owner, task->path, TASK_INTERFACE, member);
        if (r >= 0)
                r = sd_bus_message_set_expect_reply(message, false);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(message, false);
        if (r >= 0)
                r = sd_bus_send(task->tasks->bus, message, NULL);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Cannot call %s of the task %s of %s: %s", member, task->path, task->service,
                          strerrordesc_np(-r) ?: "unknown error");
}

static void end(struct remote_task *task, int r, sd_bus_message *result, struct idl_error *error) {
        remote_task_done_t done = task->done;
        void *userdata = task->userdata;

        call_task(task, "Destroy");
        remote_task_free(task);
        done(userdata, r, result, error);
}

static void fail(struct remote_task *task, int r, struct idl_error *error) {
        if (task->cancelled) {
                idl_error_done(error);
                r = -ECANCELED;
        }
        end(task, r, NULL, error);
        idl_error_done(error);
}

/* Finished(s state, a{sv} result, (ssa{sv}) error) */
static void finished(struct remote_task *task, sd_bus_message *signal) {
        struct idl_error error = IDL_ERROR_NULL;
        const char *state;
        int r;

        r = sd_bus_message_read(signal, "s", &state);
        if (r <= 0) {
                fail(task, idl_error_set_backend_failed(&error, task->service, "say what happened", "its signal cannot be read"), &error);
                return;
        }
        if (strcmp(state, "Succeeded") == 0) {
                end(task, 0, signal, &error);
                return;
        }
        r = sd_bus_message_skip(signal, "a{sv}");
        if (r >= 0)
                r = remote_error_read(&error, task->service, signal);
        fail(task, r < 0 ? r : -EIO, &error);
}

static struct remote_task *find(struct remote_tasks *tasks, const char *owner, const char *path) {
        for (struct remote_task *task = tasks->first; task; task = task->next)
                if (task->path && strcmp(task->path, path) == 0 && strcmp(task->owner, owner) == 0)
                        return task;
        return NULL;
}

static int on_finished(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        struct remote_tasks *tasks = userdata;
        struct remote_task *task;

        if (!sd_bus_message_has_signature(signal, "sa{sv}(ssa{sv})"))
                return 0;
        task = find(tasks, sd_bus_message_get_sender(signal) ?: "", sd_bus_message_get_path(signal));
        if (task)
                finished(task, signal);
        else if (n_unanswered(tasks) > 0) {
                if (tasks->n_early == EARLY_MAX) {
                        sd_bus_message_unref(tasks->early[0]);
                        memmove(tasks->early, tasks->early + 1, --tasks->n_early * sizeof *tasks->early);
                }
                tasks->early[tasks->n_early++] = sd_bus_message_ref(signal);
        }
        return 0;
}

static int on_owner_changed(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        struct remote_tasks *tasks = userdata;
        const char *name, *before, *now;

        if (sd_bus_message_read(signal, "sss", &name, &before, &now) <= 0 || *now)
                return 0;
        for (struct remote_task *task = tasks->first, *next; task; task = next) {
                struct idl_error error = IDL_ERROR_NULL;

                next = task->next;
                if (!task->path || strcmp(task->owner, name) != 0)
                        continue;
                fail(task, idl_error_set_unreachable(&error, "service", task->service, "it left the bus before it had finished"), &error);
                next = tasks->first;    /* done() may have changed the list */
        }
        return 0;
}

/* The signal of a task that had ended before its reply was read. */
static sd_bus_message *take_early(const struct remote_task *task) {
        const struct remote_tasks *tasks = task->tasks;

        for (size_t i = 0; i < tasks->n_early; i++)
                if (strcmp(sd_bus_message_get_path(tasks->early[i]), task->path) == 0 &&
                    strcmp(sd_bus_message_get_sender(tasks->early[i]) ?: "", task->owner) == 0)
                        return sd_bus_message_ref(tasks->early[i]);
        return NULL;
}

static bool is_there(const struct remote_tasks *tasks, const struct remote_task *task) {
        const struct remote_task *other = tasks->first;

        while (other && other != task)
                other = other->next;
        return other;
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct remote_task *task = userdata;
        struct remote_tasks *tasks = task->tasks;
        struct idl_error error = IDL_ERROR_NULL;
        const sd_bus_error *e = sd_bus_message_get_error(reply);
        AUTO(sd_bus_message_unrefp) sd_bus_message *early = NULL;
        const char *path;

        if (e) {
                fail(task, remote_error_from_reply(&error, task->service, e), &error);
                return 0;
        }
        if (sd_bus_message_read(reply, "o", &path) <= 0) {
                fail(task, idl_error_set_backend_failed(&error, task->service, "return a task", "its reply cannot be read"), &error);
                return 0;
        }
        task->owner = strdup(sd_bus_message_get_sender(reply) ?: "");
        task->path = task->owner ? strdup(path) : NULL;
        if (!task->path) {
                fail(task, -ENOMEM, &error);
                return 0;
        }
        if (task->cancelled)
                call_task(task, "Cancel");
        early = take_early(task);
        if (task->on_reply)
                task->on_reply(task->userdata, reply);
        if (early && is_there(tasks, task))
                finished(task, early);
        return 0;
}

static int on_timeout(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct remote_task *task = userdata;
        struct idl_error error = IDL_ERROR_NULL;

        if (!task->cancelled)
                call_task(task, "Cancel");
        fail(task, idl_error_set_timed_out(&error, task->service, task->timeout_usec / 1000), &error);
        return 0;
}

/* The bus is asked before the call is sent, and does one after the other. */
static int listen_to(struct remote_tasks *tasks, const char *prefix) {
        AUTO_FREE char *match = NULL, *path = NULL;
        int r;

        for (size_t i = 0; i < tasks->n_prefixes; i++)
                if (strcmp(tasks->prefixes[i].path, prefix) == 0)
                        return 0;
        if (tasks->n_prefixes == PREFIXES_MAX)
                return -E2BIG;
        path = strdup(prefix);
        if (!path || asprintf(&match, "type='signal',interface='" TASK_INTERFACE "',member='Finished',path_namespace='%s'", prefix) < 0) {
                match = NULL;
                return -ENOMEM;
        }
        r = sd_bus_add_match_async(tasks->bus, &tasks->prefixes[tasks->n_prefixes].slot, match, on_finished, NULL, tasks);
        if (r < 0)
                return r;
        tasks->prefixes[tasks->n_prefixes++].path = path;
        path = NULL;
        return 0;
}

int remote_task_begin(struct remote_tasks *tasks, sd_bus_message *call, const char *prefix, uint64_t timeout_usec,
                      remote_task_done_t done, void *userdata, struct remote_task **ret_task) {
        struct remote_task *task = calloc(1, sizeof *task);
        int r;

        if (!task)
                return -ENOMEM;
        *task = (struct remote_task) { .tasks = tasks, .next = tasks->first, .timeout_usec = timeout_usec, .done = done,
                                       .userdata = userdata };
        tasks->first = task;
        task->service = strdup(sd_bus_message_get_destination(call) ?: "");
        r = task->service ? listen_to(tasks, prefix) : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_time_relative(sd_bus_get_event(tasks->bus), &task->timer, CLOCK_MONOTONIC, timeout_usec, 0, on_timeout,
                                               task);
        if (r >= 0)
                r = sd_bus_call_async(tasks->bus, &task->reply, call, on_reply, task, timeout_usec);
        if (r < 0) {
                remote_task_free(task);
                return r;
        }
        *ret_task = task;
        return 0;
}

void remote_task_on_reply(struct remote_task *task, void (*callback)(void *userdata, sd_bus_message *reply)) {
        task->on_reply = callback;
}

void remote_task_cancel(struct remote_task *task) {
        if (task->cancelled)
                return;
        task->cancelled = true;
        call_task(task, "Cancel");      /* without a reply so far, when it comes */
        sd_event_source_set_time_relative(task->timer, REMOTE_TASK_CANCEL_MS * UINT64_C(1000));
}

int remote_tasks_new(struct remote_tasks **ret_tasks, sd_bus *bus) {
        AUTO(remote_tasks_freep) struct remote_tasks *tasks = calloc(1, sizeof *tasks);
        int r;

        if (!tasks)
                return -ENOMEM;
        tasks->bus = sd_bus_ref(bus);
        r = sd_bus_match_signal(bus, &tasks->owners, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                "NameOwnerChanged", on_owner_changed, tasks);
        if (r < 0)
                return r;
        *ret_tasks = tasks;
        tasks = NULL;
        return 0;
}

struct remote_tasks *remote_tasks_free(struct remote_tasks *tasks) {
        if (!tasks)
                return NULL;
        while (tasks->first)
                remote_task_free(tasks->first);
        forget_early(tasks);
        for (size_t i = 0; i < tasks->n_prefixes; i++) {
                sd_bus_slot_unref(tasks->prefixes[i].slot);
                free(tasks->prefixes[i].path);
        }
        sd_bus_slot_unref(tasks->owners);
        sd_bus_unref(tasks->bus);
        free(tasks);
        return NULL;
}
