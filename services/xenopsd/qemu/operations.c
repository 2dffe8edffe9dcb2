/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "operations.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "clock.h"
#include "launch.h"
#include "watch.h"

#define QUIT_MS 2000u                   /* for QEMU to close its disks; mostly it takes less than 10 */
#define RESET_MS 5000u
#define FINISH_MS 10000u                /* for a migration that was given up to be over */
#define FINISH_LOOK_MS 20u

static bool get_string(struct json_object *object, const char *name, const char **ret_text) {
        struct json_object *value;

        if (!json_object_object_get_ex(object, name, &value) || !json_object_is_type(value, json_type_string))
                return false;
        *ret_text = json_object_get_string(value);
        return true;
}

/* Query */

static void end_query(struct qemu_action *action) {
        struct hypervisor_status *status = &action->call->status;
        const struct facts *facts = &action->guest->facts;
        const char *unplugged[HYPERVISOR_DEVICES_MAX];
        struct xcp_guest_address addresses[HYPERVISOR_ADDRESSES_MAX];

        for (size_t i = 0; i < facts->n_unplugged; i++)        /* without disk- or net- */
                unplugged[i] = strchr(facts->unplugged[i], '-') ? strchr(facts->unplugged[i], '-') + 1 : facts->unplugged[i];
        status->unplugged = unplugged;
        status->n_unplugged = facts->n_unplugged;
        status->started_usec = facts->started_usec;
        status->pid = action->guest->process ? (uint32_t) process_identity(action->guest->process).pid : 0;
        status->ready = status->state == HYPERVISOR_RUNNING && action->guest->is_agent_open;
        if (status->state == HYPERVISOR_RUNNING && action->guest->watch) {
                const struct addresses *known = watch_addresses(action->guest->watch);

                for (size_t i = 0; i < known->n; i++)
                        addresses[i] = (struct xcp_guest_address) { known->list[i].text, known->list[i].mac, known->list[i].source };
                status->addresses = addresses;
                status->n_addresses = known->n;
        }
        action_end(action, 0, NULL);    /* while the arrays are there */
}

static void on_cpus(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        uint32_t n = r >= 0 ? vcpus_count(value) : 0;
        struct idl_error error = IDL_ERROR_NULL;

        action->guest->counts_vcpus = false;
        if (n > 0 && n != action->guest->facts.vcpus) {
                action->guest->facts.vcpus = n;
                guest_save(action->guest, &error);      /* if it cannot be, they are counted again by the next manager */
                idl_error_done(&error);
        }
        action->call->status.vcpus = n;
        end_query(action);
}

/* Whether the agent's end of its channel is open: its events may have come when nobody heard them. */
static void on_channels(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        size_t n = r >= 0 && json_object_is_type(value, json_type_array) ? json_object_array_length(value) : 0;

        for (size_t i = 0; i < n; i++) {
                struct json_object *channel = json_object_array_get_idx(value, i), *open;
                const char *label;

                if (json_object_is_type(channel, json_type_object) && get_string(channel, "label", &label) &&
                    strcmp(label, "agent") == 0 && json_object_object_get_ex(channel, "frontend-open", &open))
                        action->guest->is_agent_open = json_object_get_boolean(open);
        }
        if (action->guest->counts_vcpus)
                action_execute(action, "query-hotpluggable-cpus", NULL, -1, on_cpus);
        else
                end_query(action);
}

static void on_status(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        struct qemu_guest *guest = action->guest;
        const char *state = "";

        if (r < 0) {
                action_fail(action, why);
                return;
        }
        if (json_object_is_type(value, json_type_object))
                (void) get_string(value, "status", &state);
        qemu_status_read(&action->call->status, state, guest->facts.phase == FACTS_STARTED, guest->shutdown);
        action_execute(action, "query-chardev", NULL, -1, on_channels);
}

static void query(struct qemu_action *action) {
        struct hypervisor_status *status = &action->call->status;
        const struct qemu_guest *guest = action->guest;

        if (guest->directory_fd >= 0 && guest->process && !guest->is_broken) {
                action_execute(action, "query-status", NULL, -1, on_status);
                return;
        }
        *status = (struct hypervisor_status) { .state = HYPERVISOR_ABSENT };
        if (guest->directory_fd >= 0) {
                status->state = HYPERVISOR_ENDED;
                status->event = guest->process ? HYPERVISOR_BROKEN : HYPERVISOR_EXITED;
                snprintf(status->detail, sizeof status->detail, "%s", guest->words);
        }
        end_query(action);
}

int operation_query(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "say what its guest is", &action);
        if (r < 0)
                return r;
        call->status = (struct hypervisor_status) { .state = HYPERVISOR_ABSENT };
        action->on_end = query;         /* then it is that */
        action_wait(action, 0, query);
        return 0;
}

/* Prepare and start */

static void on_prepared(struct qemu_action *action) {
        launch_done(action, FACTS_PREPARED);
}

int operation_prepare(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "prepare a guest", &action);
        if (r < 0)
                return r;
        r = launch_new(&action->launch, guest, config, NULL, false, error);
        if (r < 0) {
                action_free(action);
                return r;
        }
        launch_begin(action, on_prepared);
        return 0;
}

/* Written down first: a guest may be taken for one that has run, but not the other way round. */
static int note_start(struct qemu_guest *guest, struct idl_error *error) {
        const struct facts before = guest->facts;
        int r;

        guest->facts.phase = FACTS_STARTED;
        guest->facts.started_usec = clock_now_usec(CLOCK_REALTIME);
        r = guest_save(guest, error);
        if (r < 0)
                guest->facts = before;
        return r;
}

static void end_well(struct qemu_action *action) {
        action_end(action, 0, NULL);
}

int operation_start(void *userdata, struct hypervisor_call *call, bool paused, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        int r;

        if (!guest->process || guest->facts.phase != FACTS_PREPARED)
                return idl_error_set_backend_failed(error, "qemu", "start its guest", "there is none that is prepared");
        r = action_begin(guest, call, "start its guest", &action);
        if (r < 0)
                return r;
        r = note_start(guest, error);
        if (r < 0) {
                action_free(action);
                return r;
        }
        action->is_quiet = true;
        if (paused)
                action_wait(action, 0, end_well);
        else
                action_execute(action, "cont", NULL, -1, action_end_with_reply);
        return 0;
}

/* Stop and destroy */

/* The end of QEMU, orderly if it can be. */
static void on_quit_late(struct qemu_action *action) {
        if (action->guest->process)
                process_kill(action->guest->process);
}

static void on_quit_reply(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                on_quit_late(action);
}

static bool hear_quit(struct qemu_action *action, const char *event, struct json_object *data) {
        return strcmp(event, "SHUTDOWN") == 0 || strcmp(event, "STOP") == 0;
}

static void quit(struct qemu_action *action, action_step_t on_end) {
        struct qemu_guest *guest = action->guest;

        action->is_quiet = true;
        action->hear = hear_quit;
        action->on_end = on_end;
        if (!guest->process) {
                action_wait(action, 0, on_end);
                return;
        }
        if (guest->qmp && !guest->is_broken)
                action_execute(action, "quit", NULL, -1, on_quit_reply);
        else
                on_quit_late(action);
        action_wait(action, QUIT_MS, on_quit_late);
}

static void on_destroyed(struct qemu_action *action) {
        guest_remove(action->guest);
        action_end(action, 0, NULL);
}

/*
 * The end that the manager wants is none that the guest came to, and a manager that is killed meanwhile must leave that to the next: what
 * is saved elsewhere would count for nothing beside a guest that has come to its end. Without room for it the guest has to go all the same.
 */
static void note_ending(const struct qemu_guest *guest) {
        struct facts ending = guest->facts;

        ending.phase = FACTS_ENDING;
        if (guest->facts.phase)
                (void) facts_save(&ending, guest->qemu->boot_id, guest->directory_fd);
}

int operation_destroy(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(userdata, call, "take its guest away", &action);
        if (r < 0)
                return r;
        note_ending(action->guest);
        quit(action, on_destroyed);
        return r;
}

static void end_stop(struct qemu_action *action, bool forced) {
        *action->ret_forced = forced;
        action_end(action, 0, NULL);
}

static void on_switched_off(struct qemu_action *action) {
        end_stop(action, true);
}

static void switch_off(struct qemu_action *action) {
        if (action->request > 0 && action->guest->qmp)
                qmp_forget(action->guest->qmp, action->request);
        action->request = 0;
        action->on_cancel = on_quit_late;
        quit(action, on_switched_off);
}

static void on_shut_down(struct qemu_action *action) {
        end_stop(action, false);
}

static bool hear_shutdown(struct qemu_action *action, const char *event, struct json_object *data) {
        if (strcmp(event, "SHUTDOWN") != 0)
                return false;
        action->hear = NULL;
        action->is_quiet = true;
        action_wait(action, 0, on_shut_down);
        return true;
}

static void on_asked(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0 && r != -ETIMEDOUT)   /* then it is not to be asked; but one that is slow has its time */
                switch_off(action);
}

int operation_stop(void *userdata, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "stop its guest", &action);
        if (r < 0)
                return r;
        action->ret_forced = ret_forced;
        if (timeout_ms == 0 || !guest->qmp || guest->facts.phase != FACTS_STARTED) {
                switch_off(action);
                return 0;
        }
        action->on_end = on_switched_off;
        action->hear = hear_shutdown;
        action_wait(action, timeout_ms, switch_off);
        action_execute(action, "system_powerdown", NULL, -1, on_asked);
        return 0;
}

/* Reset: what QEMU makes of one is what it makes of a guest's wish to reboot, and else that is to stand still */

static void boot_anew(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        action->guest->shutdown = QEMU_SHUTDOWN_UNKNOWN;
        r = note_start(action->guest, &error);
        if (r < 0)
                action_end(action, r, &error);
        else {
                guest_open_reset_window(action->guest);
                action_execute(action, "cont", NULL, -1, action_end_with_reply);
        }
        idl_error_done(&error);
}

static bool hear_reset(struct qemu_action *action, const char *event, struct json_object *data) {
        if (strcmp(event, "STOP") == 0)
                return true;
        if (strcmp(event, "RESET") != 0)
                return false;
        action->hear = NULL;
        action_wait(action, 0, boot_anew);
        return true;
}

static void on_no_reset(struct qemu_action *action) {
        action_fail(action, "it did not say that it has");
}

static void on_reset_reply(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
}

static void on_may_reset(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0) {
                action_fail(action, why);
                return;
        }
        action->hear = hear_reset;
        action_wait(action, RESET_MS, on_no_reset);
        action_execute(action, "system_reset", NULL, -1, on_reset_reply);
}

/* From here on it is not cancelled: it takes no longer than that would. */
static void never_mind(struct qemu_action *action) {
}

static void reset(struct qemu_action *action) {
        action_stop_waiting(action);
        action->on_cancel = never_mind;
        guest_open_reset_window(action->guest);  /* one of a reset before this would else end in the middle of it */
        action_execute(action, "set-action", arguments_1("reboot", "reset"), -1, on_may_reset);
}

int operation_reset(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "reset its guest", &action);
        if (r >= 0)
                reset(action);
        return r;
}

/* Reboot: the guest switches itself off, and is on again */

static void on_reboot_late(struct qemu_action *action) {
        action_end(action, -ETIMEDOUT, NULL);
}

static bool hear_reboot(struct qemu_action *action, const char *event, struct json_object *data) {
        if (strcmp(event, "SHUTDOWN") != 0)
                return false;
        action->hear = NULL;
        action_wait(action, 0, reset);
        return true;
}

static void on_reboot_asked(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                action_fail(action, why);
}

int operation_reboot(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "reboot its guest", &action);
        if (r < 0)
                return r;
        action->hear = hear_reboot;
        action_wait(action, timeout_ms, on_reboot_late);
        action_execute(action, "system_powerdown", NULL, -1, on_reboot_asked);
        return 0;
}

/* Suspend, resume, power button */

static bool hear_stop(struct qemu_action *action, const char *event, struct json_object *data) {
        return strcmp(event, "STOP") == 0;
}

int operation_suspend(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "suspend its guest", &action);
        if (r < 0)
                return r;
        action->hear = hear_stop;
        action_execute(action, "stop", NULL, -1, action_end_with_reply);
        return 0;
}

static void look_before_resume(struct qemu_action *action);

/* A guest that stands still because it wants to boot anew does so now; one that does for a migration that a manager before this one has begun, when that is given up. */
static void on_what_it_is(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        const char *state = "";

        if (r < 0) {
                action_fail(action, why);
                return;
        }
        if (json_object_is_type(value, json_type_object))
                (void) get_string(value, "status", &state);
        if (strcmp(state, "shutdown") == 0 && action->guest->shutdown == QEMU_SHUTDOWN_RESET)
                reset(action);
        else if (strcmp(state, "finish-migrate") == 0 && action->amount++ < FINISH_MS / FINISH_LOOK_MS)
                action_wait(action, FINISH_LOOK_MS, look_before_resume);
        else
                action_execute(action, "cont", NULL, -1, action_end_with_reply);
}

static void look_before_resume(struct qemu_action *action) {
        action_execute(action, "query-status", NULL, -1, on_what_it_is);
}

int operation_resume(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct qemu_action *action;
        int r;

        r = action_begin(guest, call, "resume its guest", &action);
        if (r >= 0)
                look_before_resume(action);
        return r;
}

int operation_power_button(void *userdata, struct idl_error *error) {
        struct qemu_guest *guest = userdata;
        int r;

        r = guest->qmp ? qmp_execute(guest->qmp, "system_powerdown", NULL, -1, NULL, NULL, NULL) : -ENOTCONN;
        return r < 0 ? idl_error_set_backend_failed(error, "qemu", "press its guest's power button", strerrordesc_np(-r)) : 0;
}
