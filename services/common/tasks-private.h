/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What tasks.c, which has all tasks of a service, and work.c, which does one, share. */

#include "callers.h"
#include "objects.h"
#include "task-list.h"
#include "task-store.h"
#include "tasks.h"

struct work {
        struct tasks *tasks;
        struct task *task;              /* the list's */
        const char *path;               /* the object's */
        struct work_kind kind;
        void *userdata;
        sd_event_source *bound;         /* runs from Cancel() to when the work has to have ended */
        bool abandoned;                 /* its caller has left: the task goes when it ends */
        bool active;                    /* the service has it: it has not ended */
};

struct tasks {
        sd_bus *bus;
        sd_event *event;
        char *instance;
        char bus_id[SD_ID128_STRING_MAX];
        struct task_store *store;
        struct task_list list;
        struct objects *objects;        /* each a struct work */
        sd_bus_slot *export;
        struct callers *callers;
        size_t n_active;
        struct tasks_figures figures;
        bool stopping;
        void (*idle)(void *userdata);
        void *idle_userdata;
        tasks_caller_t caller;          /* whose a call is; NULL: his who sent it */
        void *caller_userdata;
};

/* work.c */

/* Adds the object of a task, which stays the list's. The work is not active yet: it is one of a task that has ended. */
int work_new(struct tasks *tasks, struct task *task, const struct work_kind *kind, struct work **ret_work);

/* Of the object's memory only: its task stays. */
struct work *work_free(struct work *work);

/* An ended task, and everything of it, goes. */
void work_forget(struct work *work);

/* A line in the log, with what is known of the task. */
__attribute__((format(printf, 3, 4))) void work_log(int level, const struct task *task, const char *format, ...);

/* tasks.c */

/* Calls who waits for it if no work is left. */
void tasks_tell_idle(struct tasks *tasks);
