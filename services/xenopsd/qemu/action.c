/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "action.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "forward.h"
#include "launch.h"
#include "stream.h"

int action_begin(struct qemu_guest *guest, struct hypervisor_call *call, const char *what, struct qemu_action **ret_action) {
        struct qemu_action *action = malloc(sizeof *action);

        if (!action)
                return -ENOMEM;
        *action = (struct qemu_action) { .guest = guest, .next = guest->actions, .call = call, .what = what, .fd = -1,
                                         .error = { .name = NULL } };
        guest->actions = action;
        call->under_way = action;
        *ret_action = action;
        return 0;
}

struct qemu_action *action_free(struct qemu_action *action) {
        for (struct qemu_action **p = &action->guest->actions; *p; p = &(*p)->next)
                if (*p == action) {
                        *p = action->next;
                        break;
                }
        if (action->request > 0 && action->guest->qmp)
                qmp_forget(action->guest->qmp, action->request);
        sd_event_source_disable_unref(action->timer);
        sd_event_source_disable_unref(action->io);
        json_object_put(action->first);
        json_object_put(action->second);
        forward_free(action->forward);
        launch_free(action->launch);
        stream_free(action->stream);
        idl_error_done(&action->error);
        if (action->call)
                action->call->under_way = NULL;
        free(action);
        return NULL;
}

void action_end(struct qemu_action *action, int r, struct idl_error *error) {
        struct hypervisor_call *call = action->call;
        struct idl_error none = IDL_ERROR_NULL;

        action_free(action);
        call->done(call, r, error ?: &none);
        idl_error_done(&none);
}

void action_fail(struct qemu_action *action, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = idl_error_set_backend_failed(&error, "qemu", action->what, why);
        action_end(action, r, &error);
        idl_error_done(&error);
}

/* Commands */

static void on_not_sent(struct qemu_action *action) {
        action->reply(action, -ENOTCONN, NULL, action->guest->words[0] ? action->guest->words : "its monitor cannot be reached");
}

/* A monitor mostly hangs up because QEMU ends, and then that says more. */
static void wait_for_end(struct qemu_action *action) {
        action_wait(action, action->guest->process && !action->guest->is_broken ? ACTION_END_MS : 0, on_not_sent);
}

static void on_reply(void *userdata, int r, struct json_object *value, const char *why) {
        struct qemu_action *action = userdata;

        action->request = 0;
        if (r == -ENOTCONN)
                wait_for_end(action);
        else
                action->reply(action, r, value, why);
}

void action_execute(struct qemu_action *action, const char *command, struct json_object *arguments, int fd, action_reply_t reply) {
        struct qemu_guest *guest = action->guest;
        int r;

        if (action->request > 0 && guest->qmp)  /* its reply is not of interest any more */
                qmp_forget(guest->qmp, action->request);
        action->request = 0;
        action->reply = reply;
        if (!guest->qmp)
                json_object_put(arguments);
        r = guest->qmp ? qmp_execute(guest->qmp, command, arguments, fd, on_reply, action, &action->request) : -ENOTCONN;
        if (r == -ENOTCONN)
                wait_for_end(action);
        else if (r < 0)
                action_wait(action, 0, on_not_sent);
}

void action_end_with_reply(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
        else
                action_end(action, 0, NULL);
}

/* Time */

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct qemu_action *action = userdata;

        action_stop_waiting(action);
        action->on_time(action);
        return 0;
}

void action_stop_waiting(struct qemu_action *action) {
        action->timer = sd_event_source_disable_unref(action->timer);
}

void action_wait(struct qemu_action *action, uint64_t ms, action_step_t on_time) {
        action_stop_waiting(action);
        action->on_time = on_time;
        /* A timer that cannot be set leaves an operation that ends when it is cancelled. */
        (void) sd_event_add_time_relative(action->guest->qemu->host.event, &action->timer, CLOCK_MONOTONIC, ms * 1000, 1, on_timer, action);
}

/* Its end before its time */

static void end_cancelled(struct qemu_action *action) {
        action_end(action, -ECANCELED, NULL);
}

/* What comes meanwhile would go on with it, and put off its end. */
static void stop_listening(struct qemu_action *action) {
        if (action->request > 0 && action->guest->qmp)
                qmp_forget(action->guest->qmp, action->request);
        action->request = 0;
        action->hear = NULL;
}

void action_cancel(void *userdata, struct hypervisor_call *call) {
        struct qemu_action *action = call->under_way;

        if (!action || action->is_cancelled)
                return;
        action->is_cancelled = true;
        if (action->on_cancel) {
                action->on_cancel(action);
                return;
        }
        stop_listening(action);
        action_wait(action, 0, end_cancelled);
}

bool actions_hear(struct qemu_guest *guest, const char *event, struct json_object *data) {
        for (struct qemu_action *action = guest->actions; action; action = action->next)
                if (action->hear && action->hear(action, event, data))
                        return true;
        return false;
}

bool action_are_quiet(const struct qemu_guest *guest) {
        for (const struct qemu_action *action = guest->actions; action; action = action->next)
                if (action->is_quiet)
                        return true;
        return false;
}

static void fail_with_guest(struct qemu_action *action) {
        action_fail(action, action->guest->words);
}

/* From the loop, as ending one may begin or end another. */
void actions_on_end(struct qemu_guest *guest) {
        for (struct qemu_action *action = guest->actions; action; action = action->next) {
                action->request = 0;
                action_wait(action, 0, action->on_end ?: fail_with_guest);
        }
}

void actions_drop(struct qemu_guest *guest) {
        while (guest->actions)
                action_free(guest->actions);
}

/* Arguments */

struct json_object *arguments_number(const char *name, uint64_t value) {
        struct json_object *object = json_object_new_object();

        if (object)
                json_object_object_add(object, name, json_object_new_uint64(value));
        return object;
}

struct json_object *arguments_1(const char *name, const char *value) {
        struct json_object *object = json_object_new_object();

        if (object)
                json_object_object_add(object, name, json_object_new_string(value));
        return object;
}

struct json_object *arguments_2(const char *name1, const char *value1, const char *name2, const char *value2) {
        struct json_object *object = arguments_1(name1, value1);

        if (object)
                json_object_object_add(object, name2, json_object_new_string(value2));
        return object;
}
