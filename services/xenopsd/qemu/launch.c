/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "accelerator.h"
#include "cleanup.h"
#include "command-line.h"
#include "devices.h"
#include "log.h"
#include "source.h"
#include "tap.h"
#include "variables.h"

#define LAUNCH_MS 60000u                /* from its start to the first answer: some ten ms, on a machine that does nothing else */
#define SOCKETS _COMMAND_LINE_SOCKET_N

struct launch {
        struct qemu_guest *guest;
        enum qemu_accelerator accelerator;
        char **argv[2];                 /* with TCG and with KVM, as far as they may be needed */
        int fds[PROCESS_FDS_MAX];
        size_t n_fds;
        char carrier_off[16][QEMU_ID_SIZE];     /* network interfaces whose cable is out */
        size_t n_carrier_off;
        uint64_t balloon;               /* bytes that the guest is to have at first; 0: all there are */
        action_step_t on_ready;
};

struct launch *launch_free(struct launch *launch) {
        if (!launch)
                return NULL;
        accelerator_forget(launch->guest->qemu->accelerator, launch);
        for (size_t i = 0; i < launch->n_fds; i++)
                close(launch->fds[i]);
        command_line_free(launch->argv[0]);
        command_line_free(launch->argv[1]);
        free(launch);
        return NULL;
}

/* What it is made of */

static int make_sockets(struct launch *launch) {
        static const char *const names[SOCKETS] = { GUEST_MONITOR, "serial0", GUEST_AGENT };
        int r;

        for (size_t i = 0; i < SOCKETS; i++) {
                r = guest_listen(launch->guest, names[i], launch->fds + launch->n_fds);
                if (r < 0)
                        return r;
                launch->n_fds++;
        }
        return 0;
}

static int make_taps(struct launch *launch, const struct xcp_vm_spec *spec, struct idl_error *error) {
        int r;

        for (size_t i = 0; i < spec->n_network_interfaces; i++) {
                const struct xcp_network_interface_spec *network = spec->network_interfaces + i;

                if (!network->carrier)
                        device_id(false, network->name, launch->carrier_off[launch->n_carrier_off++]);
                if (device_is_user_network(network))
                        continue;
                r = tap_open(launch->guest->uuid, network, launch->fds + launch->n_fds, error);
                if (r < 0)
                        return r;
                launch->n_fds++;
        }
        return 0;
}

static int make_command_lines(struct launch *launch, const struct hypervisor_config *config, const struct qemu_options *options,
                              bool is_incoming) {
        const struct qemu_guest *guest = launch->guest;
        struct command_line line = { .program = guest->qemu->program, .config = config, .options = options, .facts = &guest->facts,
                                     .firmware = VARIABLES_FIRMWARE, .is_incoming = is_incoming,
                                     .ticks_khz = ticks_khz(&guest->qemu->ticks) };
        char variables[VARIABLES_PATH_SIZE];
        int r = 0;

        variables_path(guest->uuid, variables);
        line.variables = variables;
        for (enum qemu_accelerator accelerator = QEMU_TCG; accelerator <= QEMU_KVM && r >= 0; accelerator++) {
                line.accelerator = accelerator;
                if (launch->accelerator == QEMU_AUTO || launch->accelerator == accelerator)
                        r = command_line_make(&line, launch->argv + (accelerator - QEMU_TCG));
        }
        return r;
}

/* QEMU reads a kernel to its end before it answers anybody, which of what is no file may not come. */
static int check_file(const char *name, const char *path, struct idl_error *error) {
        struct stat st;

        if (!path)
                return 0;
        if (stat(path, &st) < 0)        /* of what is wrong otherwise QEMU tells */
                return errno == ENOENT || errno == ENOTDIR ? idl_error_set_does_not_exist(error, "file", path) : 0;
        if (S_ISREG(st.st_mode))
                return 0;
        return idl_error_set_invalid_argument(error, name, path, "has to be a file");
}

static int make_all(struct launch *launch, const struct hypervisor_config *config, const struct facts *layout, bool is_incoming,
                    struct idl_error *error) {
        const struct xcp_vm_spec *spec = config->spec;
        struct qemu_guest *guest = launch->guest;
        struct qemu_options options;
        int r;

        r = qemu_options_read(&options, spec->backend_options, spec->n_backend_options, error);
        if (r < 0)
                return r;
        launch->accelerator = options.accelerator == QEMU_AUTO ? accelerator_best(guest->qemu->accelerator) : options.accelerator;
        r = check_file("kernel", spec->kernel, error);
        if (r >= 0)
                r = check_file("initramfs", spec->initramfs, error);
        for (size_t i = 0; i < spec->n_disks && r >= 0; i++)
                r = source_check(config->disks[i].path, error);
        if (r < 0)
                return r;
        if (spec->firmware == XCP_FIRMWARE_UEFI)
                r = variables_make(guest->qemu->directory_fd, guest->uuid, error);
        if (r < 0)
                return r;
        if (!is_incoming && spec->has_memory_max && spec->memory_max > spec->memory)
                launch->balloon = spec->memory;
        guest->facts = layout ? *layout : (struct facts) {};
        r = command_line_place(config, &options, &guest->facts, error);
        if (r >= 0)
                r = guest_make_directory(guest);
        for (size_t i = 0; i < spec->n_network_interfaces; i++)
                facts_set_mac(&guest->facts, spec->network_interfaces[i].name, spec->network_interfaces[i].mac);
        if (r >= 0)
                r = make_sockets(launch);
        if (r >= 0)
                r = make_taps(launch, spec, error);
        return r < 0 ? r : make_command_lines(launch, config, &options, is_incoming);
}

int launch_new(struct launch **ret_launch, struct qemu_guest *guest, const struct hypervisor_config *config, const struct facts *layout,
               bool is_incoming, struct idl_error *error) {
        struct launch *launch;
        int r;

        if (guest->directory_fd >= 0)
                return idl_error_set_backend_failed(error, "qemu", "make a guest", "there is one already");
        launch = calloc(1, sizeof *launch);
        if (!launch)
                return -ENOMEM;
        launch->guest = guest;
        r = make_all(launch, config, layout, is_incoming, error);
        if (r < 0) {
                launch_free(launch);
                guest_remove(guest);
                if (r == -ENOSPC || r == -EDQUOT)
                        return idl_error_set_not_enough_space(error, FACTS_SIZE_MAX, 0);
                return error->name || r == -ENOMEM ? r : idl_error_set_backend_failed(error, "qemu", "make a guest", strerrordesc_np(-r));
        }
        *ret_launch = launch;
        return 0;
}

/* Giving up */

static void on_given_up(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r = action->r;

        idl_error_move(&error, &action->error);
        guest_remove(action->guest);
        action_end(action, r, &error);
        idl_error_done(&error);
}

void launch_give_up(struct qemu_action *action, int r, struct idl_error *error) {
        idl_error_done(&action->error);
        action->r = r;
        if (error)
                idl_error_move(&action->error, error);
        action->on_cancel = on_given_up;        /* once more: it hangs, and query() will tell */
        action->on_end = on_given_up;
        if (action->guest->process)
                process_kill(action->guest->process);
        else
                action_wait(action, 0, on_given_up);
}

void launch_give_up_because(struct qemu_action *action, const char *why) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = idl_error_set_backend_failed(&error, "qemu", action->what, why);
        launch_give_up(action, r, &error);
        idl_error_done(&error);
}

static void on_cancel(struct qemu_action *action) {
        launch_give_up(action, -ECANCELED, NULL);
}

static void on_early_end(struct qemu_action *action) {
        launch_give_up_because(action, action->guest->words);
}

static void on_late(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        r = idl_error_set_timed_out(&error, "QEMU's first answer", LAUNCH_MS);
        launch_give_up(action, r, &error);
        idl_error_done(&error);
}

/* Going on */

static void give_up_with(struct qemu_action *action, int r, struct idl_error *error) {
        if (error->name)
                launch_give_up(action, r, error);
        else
                launch_give_up_because(action, strerrordesc_np(-r) ?: "unknown error");
        idl_error_done(error);
}

static void on_link(struct qemu_action *action, int r, struct json_object *value, const char *why);

static void go_on(struct qemu_action *action) {
        action_stop_waiting(action);
        action->launch->on_ready(action);
}

static void on_balloon(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                launch_give_up_because(action, why);
        else
                go_on(action);
}

/* What the guest is not to have yet, its balloon takes when there is a driver for it. */
static void set_balloon(struct qemu_action *action) {
        if (action->launch->balloon > 0)
                action_execute(action, "balloon", arguments_number("value", action->launch->balloon), -1, on_balloon);
        else
                go_on(action);
}

/* Cables are out before the guest can look. */
static void set_links(struct qemu_action *action) {
        struct launch *launch = action->launch;
        struct json_object *arguments;

        if (launch->n_carrier_off == 0) {
                set_balloon(action);
                return;
        }
        arguments = arguments_1("name", launch->carrier_off[--launch->n_carrier_off]);
        if (arguments)
                json_object_object_add(arguments, "up", json_object_new_boolean(false));
        action_execute(action, "set_link", arguments, -1, on_link);
}

static void on_link(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0)
                launch_give_up_because(action, why);
        else
                set_links(action);
}

static void on_first_answer(struct qemu_action *action, int r, struct json_object *value, const char *why) {
        if (r < 0) {
                launch_give_up_because(action, why);
                return;
        }
        if (action->call->launched)
                action->call->launched(action->call);
        set_links(action);
}

/* Which process it is is written down before it does anything. */
static int start_process(struct qemu_action *action, struct idl_error *error) {
        struct qemu_guest *guest = action->guest;
        const struct launch *launch = action->launch;
        AUTO_CLOSE int log = openat(guest->directory_fd, GUEST_LOG, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        struct process_spec spec = {
                .program = guest->qemu->program,
                .argv = launch->argv[launch->accelerator - QEMU_TCG],
                .fds = launch->fds,
                .n_fds = launch->n_fds,
                .directory_fd = guest->directory_fd,
                .log_fd = log,
        };
        int r;

        if (log < 0)
                return errno == ENOSPC ? idl_error_set_not_enough_space(error, FACTS_SIZE_MAX, 0) : -errno;
        r = process_start(&guest->process, guest->qemu->host.event, &spec, guest_on_end, guest);
        if (r < 0)
                return r;
        guest->facts.phase = FACTS_BEGUN;
        guest->facts.process = process_identity(guest->process);
        r = guest_save(guest, error);
        if (r >= 0)
                r = process_release(guest->process);
        if (r < 0)
                guest->process = process_free(guest->process);  /* which was not let in yet */
        return r;
}

static void start(struct qemu_action *action) {
        struct idl_error error = IDL_ERROR_NULL;
        struct launch *launch = action->launch;
        int r;

        r = start_process(action, &error);
        for (size_t i = 0; i < launch->n_fds; i++)      /* they are QEMU's now, and end with it */
                close(launch->fds[i]);
        launch->n_fds = 0;
        if (r >= 0)
                r = guest_connect_monitor(action->guest);
        if (r < 0) {
                give_up_with(action, r, &error);
                return;
        }
        action_wait(action, LAUNCH_MS, on_late);
        action_execute(action, "query-status", NULL, -1, on_first_answer);
}

static void on_accelerator(void *userdata) {
        struct launch *launch = userdata;

        for (struct qemu_action *action = launch->guest->actions; action; action = action->next)
                if (action->launch == launch) {
                        launch->accelerator = accelerator_best(launch->guest->qemu->accelerator);
                        action_wait(action, 0, start);
                        return;
                }
}

static void find_accelerator(struct qemu_action *action) {
        struct launch *launch = action->launch;
        int r;

        if (launch->accelerator == QEMU_AUTO)           /* somebody else may have asked meanwhile */
                launch->accelerator = accelerator_best(action->guest->qemu->accelerator);
        if (launch->accelerator != QEMU_AUTO) {
                start(action);
                return;
        }
        r = accelerator_find(action->guest->qemu->accelerator, on_accelerator, launch);
        if (r < 0)
                launch_give_up_because(action, strerrordesc_np(-r) ?: "unknown error");
}

void launch_begin(struct qemu_action *action, action_step_t on_ready) {
        action->launch->on_ready = on_ready;
        action->is_quiet = true;
        action->on_cancel = on_cancel;
        action->on_end = on_early_end;
        action_wait(action, 0, find_accelerator);
}

void launch_done(struct qemu_action *action, enum facts_phase phase) {
        struct idl_error error = IDL_ERROR_NULL;
        int r;

        action->guest->facts.phase = phase;
        r = guest_save(action->guest, &error);
        if (r < 0)
                give_up_with(action, r, &error);
        else
                action_end(action, 0, NULL);
}
