/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.xenopsd1.VM: methods that begin jobs, and those that are answered at once. vm-properties.c has its properties. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "job.h"
#include "spec.h"
#include "vm-properties.h"
#include "xenopsd1-vm.h"

typedef int (*reply_t)(struct idl_call *call, const char *task);

/* The reply goes before what the job has to tell. */
static int begin(struct vm *vm, enum operation_id id, const struct job_arguments *arguments, struct idl_call *call, reply_t reply,
                 struct idl_error *error) {
        const char *task;
        int r;

        r = job_add(vm, id, arguments, call, &task, error);
        if (r < 0)
                return r;
        r = reply(call, task);
        job_next(vm);
        return r;
}

static int on_prepare(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_PREPARE, NULL, call, xenopsd1_vm_reply_prepare, error);
}

static int on_start(void *vm, struct idl_call *call, bool paused, struct idl_error *error) {
        return begin(vm, OPERATION_START, &(struct job_arguments) { .flag = paused }, call, xenopsd1_vm_reply_start, error);
}

static int on_stop(void *vm, struct idl_call *call, uint32_t timeout_ms, struct idl_error *error) {
        return begin(vm, OPERATION_STOP, &(struct job_arguments) { .number = timeout_ms }, call, xenopsd1_vm_reply_stop, error);
}

static int on_kill(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_KILL, NULL, call, xenopsd1_vm_reply_kill, error);
}

static int on_reboot(void *vm, struct idl_call *call, uint32_t timeout_ms, struct idl_error *error) {
        return begin(vm, OPERATION_REBOOT, &(struct job_arguments) { .number = timeout_ms }, call, xenopsd1_vm_reply_reboot, error);
}

static int on_reset(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_RESET, NULL, call, xenopsd1_vm_reply_reset, error);
}

static int on_suspend(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_SUSPEND, NULL, call, xenopsd1_vm_reply_suspend, error);
}

static int on_resume(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_RESUME, NULL, call, xenopsd1_vm_reply_resume, error);
}

static int on_save(void *vm, struct idl_call *call, const char *vdi, struct idl_error *error) {
        int r;

        r = spec_check_vdi("vdi", vdi, error);
        return r < 0 ? r : begin(vm, OPERATION_SAVE, &(struct job_arguments) { .text = vdi }, call, xenopsd1_vm_reply_save, error);
}

static int on_restore(void *vm, struct idl_call *call, bool paused, struct idl_error *error) {
        return begin(vm, OPERATION_RESTORE, &(struct job_arguments) { .flag = paused }, call, xenopsd1_vm_reply_restore, error);
}

static int on_snapshot(void *vm, struct idl_call *call, const char *name, const struct xcp_snapshot_options *options,
                       struct idl_error *error) {
        const struct job_arguments arguments = { .text = name, .place = options->sr };
        int r;

        r = spec_check_name("name", name, error);
        return r < 0 ? r : begin(vm, OPERATION_SNAPSHOT, &arguments, call, xenopsd1_vm_reply_snapshot, error);
}

static int on_revert(void *vm, struct idl_call *call, const char *name, struct idl_error *error) {
        return begin(vm, OPERATION_REVERT, &(struct job_arguments) { .text = name }, call, xenopsd1_vm_reply_revert, error);
}

static int on_delete_snapshot(void *vm, struct idl_call *call, const char *name, struct idl_error *error) {
        return begin(vm, OPERATION_DELETE_SNAPSHOT, &(struct job_arguments) { .text = name }, call, xenopsd1_vm_reply_delete_snapshot,
                     error);
}

static int on_migrate(void *object, struct idl_call *call, const char *manager, const struct xcp_migrate_options *options,
                      struct idl_error *error) {
        const struct job_arguments arguments = { .text = manager, .migrate = options };
        struct vm *vm = object;
        const char *own = NULL;

        if (!sd_bus_service_name_is_valid(manager))
                return idl_error_set_invalid_argument(error, "manager", manager, "has to be a name on this bus");
        sd_bus_get_unique_name(vm->xenopsd->bus, &own);
        if (strcmp(manager, own ?: "") == 0 || strcmp(manager, service_bus_name(vm->xenopsd->service)) == 0)
                return idl_error_set_invalid_argument(error, "manager", manager, "has to be another than this one");
        return begin(vm, OPERATION_MIGRATE, &arguments, call, xenopsd1_vm_reply_migrate, error);
}

static int on_destroy(void *vm, struct idl_call *call, struct idl_error *error) {
        return begin(vm, OPERATION_DESTROY, NULL, call, xenopsd1_vm_reply_destroy, error);
}

static int on_set_memory(void *vm, struct idl_call *call, uint64_t memory, struct idl_error *error) {
        int r;

        r = spec_check_memory("memory", memory, error);
        if (r < 0)
                return r;
        return begin(vm, OPERATION_SET_MEMORY, &(struct job_arguments) { .number = memory }, call, xenopsd1_vm_reply_set_memory, error);
}

static int on_set_vcpus(void *vm, struct idl_call *call, uint32_t vcpus, struct idl_error *error) {
        int r;

        r = spec_check_vcpus("vcpus", vcpus, error);
        if (r < 0)
                return r;
        return begin(vm, OPERATION_SET_VCPUS, &(struct job_arguments) { .number = vcpus }, call, xenopsd1_vm_reply_set_vcpus, error);
}

/* What is wrong with a device is said at once, as far as it can be known before its turn comes. */
static int on_add_disk(void *object, struct idl_call *call, const struct xcp_disk_spec *spec, struct idl_error *error) {
        struct xcp_disk_spec complete;
        struct vm *vm = object;
        int r;

        r = spec_complete_disk(&vm->spec, spec, "spec", idl_call_arena(call), &complete, error);
        if (r < 0)
                return r;
        return begin(vm, OPERATION_ADD_DEVICE, &(struct job_arguments) { .disk = spec }, call, xenopsd1_vm_reply_add_disk, error);
}

static int on_add_network(void *object, struct idl_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        struct xcp_network_interface_spec complete;
        struct vm *vm = object;
        const struct spec_defaults defaults = xenopsd_spec_defaults(vm->xenopsd);
        int r;

        r = spec_complete_network(&vm->spec, spec, &defaults, "spec", idl_call_arena(call), &complete, error);
        if (r < 0)
                return r;
        return begin(vm, OPERATION_ADD_DEVICE, &(struct job_arguments) { .network = spec }, call,
                     xenopsd1_vm_reply_add_network_interface, error);
}

/* At once */

static int on_power_button(void *object, struct idl_call *call, struct idl_error *error) {
        struct vm *vm = object;
        int r;

        r = vm_check(vm, LIFECYCLE_POWER_BUTTON, error);
        if (r < 0)
                return r;
        if (!vm->backend->hypervisor->power_button)
                return idl_error_set_not_supported(error, "PowerButton");
        r = vm->backend->hypervisor->power_button(vm->guest, error);
        return r < 0 ? r : xenopsd1_vm_reply_power_button(call);
}

static void unref_call(void *call) {
        idl_call_unref(call);
}

/* A call that the backend answers. */
static int ask(struct vm *vm, struct idl_call *call, vm_ask_t begin_ask, vm_answer_t done, struct idl_error *error) {
        int r;

        r = vm_ask(vm, begin_ask, done, unref_call, idl_call_ref(call), error);
        if (r < 0)
                idl_call_unref(call);
        return r;
}

static void answer_failed(struct idl_call *call, int r, struct idl_error *error) {
        idl_error_set_errno(error, r, "the backend");
        idl_call_fail(call, error);
        idl_error_done(error);
}

static void on_queried(struct vm *vm, int r, const struct hypervisor_call *answer, void *userdata, struct idl_error *error) {
        AUTO(idl_call_unrefp) struct idl_call *call = userdata;

        if (r < 0) {
                answer_failed(call, r, error);
                return;
        }
        if (vm->job)                    /* it will say what it did, when it is done */
                vm_take_facts(vm, &answer->status);
        else
                vm_take_status(vm, &answer->status, XCP_VM_STATE_REASON_FOUND);
        xenopsd1_vm_reply_query_state(call, vm->state, vm->reason);
}

static int on_query_state(void *vm, struct idl_call *call, struct idl_error *error) {
        return ask(vm, call, vm_ask_query, on_queried, error);
}

static int ask_statistics(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error) {
        if (!vm->backend->hypervisor->statistics)
                return idl_error_set_not_supported(error, "GetStatistics");
        return vm->backend->hypervisor->statistics(vm->guest, call, error);
}

static void on_statistics(struct vm *vm, int r, const struct hypervisor_call *answer, void *userdata, struct idl_error *error) {
        AUTO(idl_call_unrefp) struct idl_call *call = userdata;

        if (r < 0)
                answer_failed(call, r, error);
        else
                xenopsd1_vm_reply_get_statistics(call, &answer->statistics);
}

static int on_get_statistics(void *object, struct idl_call *call, struct idl_error *error) {
        static const struct xcp_vm_statistics none;
        struct vm *vm = object;

        if (!lifecycle_is_alive(vm->state))
                return xenopsd1_vm_reply_get_statistics(call, &none);
        return ask(vm, call, ask_statistics, on_statistics, error);
}

static int on_get_spec(void *object, struct idl_call *call, struct idl_error *error) {
        struct vm *vm = object;

        return xenopsd1_vm_reply_get_spec(call, &vm->spec);
}

/* Consoles */

static int find_console(const struct vm *vm, const char *name, enum xcp_console_kind *ret_kind, struct idl_error *error) {
        const struct xcp_console_info *consoles;
        size_t n;

        consoles = vm_consoles(vm, &n);
        for (size_t i = 0; i < n; i++)
                if (strcmp(consoles[i].name, name) == 0) {
                        *ret_kind = consoles[i].kind;
                        return 0;
                }
        return idl_error_set_does_not_exist(error, "console", name);
}

static int no_answer(const struct vm *vm, struct idl_error *error) {
        return idl_error_set_backend_failed(error, vm->backend->hypervisor->name, "open the console", "it does not answer");
}

static int open_serial(struct vm *vm, const char *owner, bool read_only, int *ret_fd, struct idl_error *error) {
        if (!vm->console || !console_is_connected(vm->console))
                vm_connect_console(vm);
        if (!vm->console || !console_is_connected(vm->console))
                return no_answer(vm, error);
        return console_open(vm->console, owner, read_only, ret_fd, error);
}

/* A connection of the caller's own: what is said on it is between the two. */
static int open_other(const struct vm *vm, const char *name, bool read_only, int *ret_fd, struct idl_error *error) {
        AUTO_CLOSE int fd = -1;
        int r, flags;

        if (read_only)
                return idl_error_set_not_supported(error, "Only looking at such a console");
        r = vm->backend->hypervisor->connect_console(vm->guest, name, &fd);
        if (r < 0)
                return no_answer(vm, error);
        flags = fcntl(fd, F_GETFL);
        if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)   /* as other sockets are at first */
                return -errno;
        *ret_fd = fd;
        fd = -1;
        return 0;
}

static int on_open_console(void *object, struct idl_call *call, const char *name, bool read_only, struct idl_error *error) {
        const char *caller = sd_bus_message_get_sender(idl_call_message(call));
        struct vm *vm = object;
        enum xcp_console_kind kind;
        AUTO_CLOSE int fd = -1;
        int r;

        r = find_console(vm, name, &kind, error);
        if (r >= 0)
                r = vm_check(vm, LIFECYCLE_OPEN_CONSOLE, error);
        if (r < 0)
                return r;
        if (kind == XCP_CONSOLE_KIND_SERIAL)
                r = open_serial(vm, caller ?: "", read_only, &fd, error);
        else
                r = open_other(vm, name, read_only, &fd, error);
        return r < 0 ? r : xenopsd1_vm_reply_open_console(call, fd);
}

static int on_get_console_log(void *object, struct idl_call *call, const char *name, uint32_t bytes_max, struct idl_error *error) {
        struct vm *vm = object;
        enum xcp_console_kind kind;
        const char *log = "";
        size_t n = 0;
        int r;

        r = find_console(vm, name, &kind, error);
        if (r < 0)
                return r;
        if (kind != XCP_CONSOLE_KIND_SERIAL)
                return idl_error_set_not_supported(error, "A log of a console that is not Serial");
        if (vm->console)
                log = console_log(vm->console, bytes_max, &n);
        return xenopsd1_vm_reply_get_console_log(call, (const uint8_t *) log, n);
}

static const struct xenopsd1_vm_handlers handlers = {
        .prepare = on_prepare,
        .start = on_start,
        .stop = on_stop,
        .kill = on_kill,
        .reboot = on_reboot,
        .reset = on_reset,
        .suspend = on_suspend,
        .resume = on_resume,
        .save = on_save,
        .restore = on_restore,
        .snapshot = on_snapshot,
        .revert = on_revert,
        .delete_snapshot = on_delete_snapshot,
        .migrate = on_migrate,
        .destroy = on_destroy,
        .power_button = on_power_button,
        .query_state = on_query_state,
        .set_memory = on_set_memory,
        .set_vcpus = on_set_vcpus,
        .add_disk = on_add_disk,
        .add_network_interface = on_add_network,
        .get_spec = on_get_spec,
        .get_statistics = on_get_statistics,
        .open_console = on_open_console,
        .get_console_log = on_get_console_log,
        VM_PROPERTY_HANDLERS,
};

int vm_objects_export(struct xenopsd *xenopsd) {
        return xenopsd1_vm_export_tree(xenopsd->bus, NULL, XENOPSD_VM_PREFIX, &handlers, objects_find, xenopsd->vms);
}
