/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operations that are under way with a QEMU guest: a chain of commands to its monitor, and of waiting for what it says.
 *
 * An action has at most one command, one time to wait for, and one kind of event that it hears, at a time; each calls a function that goes
 * on or ends it.
 */

#include "guest.h"

#define ACTION_END_MS 1000u             /* from a monitor that hangs up to the end of the process, which mostly follows at once */
#define ACTION_CANCEL_MS 3000u          /* for QEMU to answer what it was told last; HYPERVISOR_CANCEL_MS is when it has to be done */

struct forward;
struct launch;
struct qemu_action;
struct stream;

typedef void (*action_reply_t)(struct qemu_action *action, int r, struct json_object *value, const char *why);
typedef void (*action_step_t)(struct qemu_action *action);
typedef bool (*action_hear_t)(struct qemu_action *action, const char *event, struct json_object *data);

struct qemu_action {
        struct qemu_guest *guest;
        struct qemu_action *next;
        struct hypervisor_call *call;
        const char *what;               /* for errors: "qemu could not WHAT" */
        uint64_t request;               /* of the monitor; 0: none */
        action_reply_t reply;
        sd_event_source *timer;
        action_step_t on_time;
        action_hear_t hear;             /* returns true for what is of this action and is not to be told otherwise */
        action_step_t on_end;           /* the process is gone; NULL: that is a failure */
        action_step_t on_cancel;        /* NULL: it ends at once with -ECANCELED */
        bool is_quiet;                  /* what becomes of the guest is in its result, and is not told as an event */
        bool is_cancelled;
        bool changes_device;            /* the one that id names, which is not looked at by others meanwhile (reconcile.h) */

        int r;                          /* of a failure that is being cleared up */
        struct idl_error error;

        /* Of single operations */
        bool flag;                      /* paused; force; running before */
        bool *ret_forced;
        uint32_t timeout_ms;
        uint64_t amount, before, reached;       /* bytes of memory, or virtual CPUs */
        uint64_t moved_usec;            /* pace.h: since when that much has been reached */
        action_step_t on_stalled;
        int fd;
        sd_event_source *io;
        struct json_object *first, *second;     /* descriptions of what is to be added */
        char id[QEMU_ID_SIZE], node[QEMU_ID_SIZE];
        struct forward *forward;
        struct launch *launch;
        struct stream *stream;
};

/* Begins one. -ENOMEM */
int action_begin(struct qemu_guest *guest, struct hypervisor_call *call, const char *what, struct qemu_action **ret_action);

/* Drops one that was not begun after all. */
struct qemu_action *action_free(struct qemu_action *action);

/* Ends it. Not from within the function that began it. error is moved; NULL: there is none. */
void action_end(struct qemu_action *action, int r, struct idl_error *error);
void action_fail(struct qemu_action *action, const char *why);  /* BackendFailed */

/* Goes on with a command. If it cannot be sent, reply comes as for one that failed. */
void action_execute(struct qemu_action *action, const char *command, struct json_object *arguments, int fd, action_reply_t reply);

/* Goes on after that time, unless something else happens first; with 0, from the event loop. */
void action_wait(struct qemu_action *action, uint64_t ms, action_step_t on_time);
void action_stop_waiting(struct qemu_action *action);

/* A reply for commands after which there is nothing to do. */
void action_end_with_reply(struct qemu_action *action, int r, struct json_object *value, const char *why);

void action_cancel(void *guest, struct hypervisor_call *call);

/* For guest.c and event.c */
bool actions_hear(struct qemu_guest *guest, const char *event, struct json_object *data);
bool action_are_quiet(const struct qemu_guest *guest);
void actions_on_end(struct qemu_guest *guest);
void actions_drop(struct qemu_guest *guest);

/* JSON objects of a number, one string or two, for arguments. */
struct json_object *arguments_number(const char *name, uint64_t value);
struct json_object *arguments_1(const char *name, const char *value);
struct json_object *arguments_2(const char *name1, const char *value1, const char *name2, const char *value2);
