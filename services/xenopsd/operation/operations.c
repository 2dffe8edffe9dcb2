/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done with a VM from its preparation to its end. */

#include "operations.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "garbage.h"
#include "snapshot.h"
#include "spec.h"
#include "steps.h"
#include "xenopsd1-vm.h"

#define OPERATION(n, l, s) { .name = n, .lifecycle = LIFECYCLE_##l, .steps = s }
#define ADMITTED(n, l, s) { .name = n, .lifecycle = LIFECYCLE_##l, .is_admitted = true, .steps = s }

struct operation operations[_OPERATION_N] = {
        [OPERATION_PREPARE] = ADMITTED("Prepare", PREPARE, prepare_steps),
        [OPERATION_START] = ADMITTED("Start", START, start_steps),
        [OPERATION_STOP] = OPERATION("Stop", STOP, stop_steps),
        [OPERATION_KILL] = { .name = "Kill", .lifecycle = LIFECYCLE_KILL, .urgency = QUEUE_URGENT, .needs_no_state = true,
                             .not_cancellable = true, .steps = kill_steps },
        [OPERATION_REBOOT] = OPERATION("Reboot", REBOOT, reboot_steps),
        [OPERATION_RESET] = OPERATION("Reset", RESET, reset_steps),
        [OPERATION_SUSPEND] = OPERATION("Suspend", SUSPEND, suspend_steps),
        [OPERATION_RESUME] = OPERATION("Resume", RESUME, resume_steps),
        [OPERATION_SAVE] = OPERATION("Save", SAVE, save_steps),
        [OPERATION_RESTORE] = ADMITTED("Restore", RESTORE, restore_steps),
        [OPERATION_SNAPSHOT] = OPERATION("Snapshot", SNAPSHOT, snapshot_steps),
        [OPERATION_REVERT] = OPERATION("Revert", REVERT, revert_steps),
        [OPERATION_DELETE_SNAPSHOT] = { .name = "DeleteSnapshot", .needs_no_state = true, .steps = delete_snapshot_steps },
        [OPERATION_MIGRATE] = OPERATION("Migrate", MIGRATE, migrate_steps),
        [OPERATION_RECEIVE] = { .name = "Receive", .needs_no_state = true, .is_admitted = true, .steps = receive_steps },
        [OPERATION_DESTROY] = OPERATION("Destroy", DESTROY, destroy_steps),
        [OPERATION_SET_MEMORY] = OPERATION("SetMemory", SET_MEMORY, memory_steps),
        [OPERATION_SET_VCPUS] = OPERATION("SetVcpus", SET_VCPUS, vcpus_steps),
        [OPERATION_ADD_DEVICE] = OPERATION("AddDevice", ADD_DEVICE, add_device_steps),
        [OPERATION_PLUG] = OPERATION("Plug", PLUG, plug_steps),
        [OPERATION_UNPLUG] = OPERATION("Unplug", PLUG, unplug_steps),
        [OPERATION_INSERT] = OPERATION("Insert", CHANGE_DEVICE, insert_steps),
        [OPERATION_EJECT] = OPERATION("Eject", CHANGE_DEVICE, eject_steps),
        [OPERATION_REFRESH] = OPERATION("Refresh", REFRESH, refresh_steps),
        [OPERATION_MOVE] = OPERATION("Move", CHANGE_DEVICE, move_steps),
        [OPERATION_REMOVE] = OPERATION("Remove", CHANGE_DEVICE, remove_steps),
        [OPERATION_RELEASE] = { .name = "Release", .urgency = QUEUE_OWN, .needs_no_state = true, .steps = release_steps },
        [OPERATION_RESTART] = { .name = "Restart", .urgency = QUEUE_OWN, .needs_no_state = true, .is_admitted = true,
                                .steps = restart_steps },
};

static const struct hypervisor *hypervisor_of(const struct job *job) {
        return job->vm->backend->hypervisor;
}

/* Prepare and Start */

/* A VM whose backend cannot be used here has no guest to do anything with. */
static int step_usable(struct job *job, struct idl_error *error) {
        struct backend *backend;
        int r;

        r = xenopsd_find_backend(job->vm->xenopsd, job->vm->spec.backend, &backend, error);
        if (r >= 0)
                r = vm_find_guest(job->vm, error);
        return r < 0 ? r : 1;
}

static bool is_prepared(const struct job *job) {
        return job->before == XCP_VM_STATE_PREPARED;
}

/* What is prepared has been brought up. */
static int step_may_begin(struct job *job, struct idl_error *error) {
        if (!is_prepared(job))
                return step_admit(job, error);
        if (job->work)
                work_run(job->work);
        return 1;
}

static int step_disks(struct job *job, struct idl_error *error) {
        return is_prepared(job) ? 1 : step_attach_disks(job, error);
}

static int undo_disks(struct job *job, struct idl_error *error) {
        return is_prepared(job) ? 1 : step_detach_disks(job, error);
}

static int step_prepare(struct job *job, struct idl_error *error) {
        struct hypervisor_config config;
        int r;

        if (is_prepared(job))
                return 1;
        r = steps_make_config(job, &config, error);
        if (r < 0)
                return r;
        return job_begun(job, hypervisor_of(job)->prepare(job->vm->guest, job_call(job), &config, error));
}

static int undo_prepare(struct job *job, struct idl_error *error) {
        return is_prepared(job) ? 1 : step_destroy(job, error);
}

/* The VM may run again, whatever became of it before. */
static int step_prepared(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        int r;

        r = vm_set_away(vm, false, error);
        if (r < 0)
                return r;
        if (is_prepared(job))
                return 1;
        vm_connect_console(vm);
        if (vm->state == XCP_VM_STATE_HALTED)   /* and not in the middle of a restart */
                vm_set_state(vm, XCP_VM_STATE_PREPARED, XCP_VM_STATE_REASON_REQUESTED, "");
        return 1;
}

static int step_start(struct job *job, struct idl_error *error) {
        return job_begun(job, hypervisor_of(job)->start(job->vm->guest, job_call(job), job->flag, error));
}

const struct step prepare_steps[] = {
        { step_may_begin },
        { step_usable },
        { step_clean },
        { step_disks, undo_disks },
        { step_prepare, undo_prepare },
        { step_prepared, .final = true },
        { step_look },
        { NULL },
};

const struct step start_steps[] = {
        { step_may_begin },
        { step_usable },
        { step_clean },
        { step_disks, undo_disks },
        { step_prepare, undo_prepare },
        { step_prepared },
        { step_start },
        { step_look, .commits = true },
        { NULL },
};

/* Stop and Kill */

static int step_stop(struct job *job, struct idl_error *error) {
        return job_begun(job, hypervisor_of(job)->stop(job->vm->guest, job_call(job), (uint32_t) job->number, &job->forced, error));
}

static int step_stopped(struct job *job, struct idl_error *error) {
        bool killed = job->forced && job->before != XCP_VM_STATE_PREPARED;

        vm_set_state(job->vm, XCP_VM_STATE_HALTED, killed ? XCP_VM_STATE_REASON_KILLED : XCP_VM_STATE_REASON_REQUESTED, "");
        return 1;
}

const struct step stop_steps[] = {
        { step_stop, .final = true },
        { step_stopped },
        { step_destroy },
        { step_detach_disks },
        { NULL },
};

/* The memory of a VM that is Saved is not needed any more. */
static int step_forget_saved(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        struct attachment *attachment;
        int r;

        if (!vm->saved_vdi)
                return 1;
        r = store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { NULL, vm->is_away }, error);
        if (r < 0)
                return r;
        free(vm->saved_vdi);
        vm->saved_vdi = NULL;
        attachment = attachment_find(vm, ATTACHMENT_SAVED);
        if (attachment)
                attachment_drop(attachment);
        return 1;
}

static int step_may_kill(struct job *job, struct idl_error *error) {
        if (job->vm->state == XCP_VM_STATE_HALTED && job->made_way)
                return job_skip(job);   /* what it was to end has been undone */
        return vm_check(job->vm, LIFECYCLE_KILL, error) < 0 ? -EBADFD : 1;
}

static int step_killed(struct job *job, struct idl_error *error) {
        vm_set_state(job->vm, XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_KILLED, "");
        return 1;
}

const struct step kill_steps[] = {
        { step_may_kill },
        { step_destroy, .final = true },
        { step_forget_saved },
        { step_killed },
        { step_detach_disks },
        { NULL },
};

/* Destroy */

static int step_forget(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        int r = 0;

        while (vm->snapshots && r >= 0)
                r = snapshot_remove(vm, vm->snapshots, error);
        if (r >= 0)
                r = store_remove_vm(vm->xenopsd->store, vm->uuid, error);
        if (r < 0)
                return r;
        garbage_collect(vm->xenopsd);
        vm->is_going = true;
        return 1;
}

const struct step destroy_steps[] = {
        { step_destroy, .final = true },
        { step_forget_saved },
        { step_detach_disks },
        { step_forget },
        { NULL },
};

/* Reboot, Reset, Suspend, Resume */

static int step_reset(struct job *job, struct idl_error *error) {
        if (!hypervisor_of(job)->reset)
                return job_not_supported(job, "Reset", error);
        return job_begun(job, hypervisor_of(job)->reset(job->vm->guest, job_call(job), error));
}

static void on_rebooted(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;

        if (r == -ETIMEDOUT) {          /* it was asked */
                idl_error_done(error);
                r = step_reset(job, error);
                if (r == 0)
                        return;
        }
        job_done(job, r, error);
}

static int step_reboot(struct job *job, struct idl_error *error) {
        struct hypervisor_call *call = job_call(job);

        if (!hypervisor_of(job)->reboot)
                return job_not_supported(job, "Reboot", error);
        call->done = on_rebooted;
        return job_begun(job, hypervisor_of(job)->reboot(job->vm->guest, call, (uint32_t) job->number, error));
}

static int step_suspend(struct job *job, struct idl_error *error) {
        if (!hypervisor_of(job)->suspend)
                return job_not_supported(job, "Suspend", error);
        return job_begun(job, hypervisor_of(job)->suspend(job->vm->guest, job_call(job), error));
}

/* Whoever resumes a guest that may run elsewhere says that it does not. */
static int step_is_here(struct job *job, struct idl_error *error) {
        int r;

        job->flag = job->vm->is_away;
        r = vm_set_away(job->vm, false, error);
        return r < 0 ? r : 1;
}

static int undo_is_here(struct job *job, struct idl_error *error) {
        int r;

        r = vm_set_away(job->vm, job->flag, error);
        return r < 0 ? r : 1;
}

const struct step reboot_steps[] = { { step_reboot, .final = true }, { step_look }, { NULL } };
const struct step reset_steps[] = { { step_reset, .final = true }, { step_look }, { NULL } };
const struct step suspend_steps[] = { { step_suspend, .final = true }, { step_look }, { NULL } };
const struct step resume_steps[] = { { step_is_here, undo_is_here }, { step_resume, .final = true }, { step_look }, { NULL } };

/* Memory and virtual CPUs */

/* Without a driver for its balloon, a guest has what its machine has. */
static void on_memory(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;
        char what[128];

        if (r == -ETIMEDOUT && !error->name) {
                snprintf(what, sizeof what, "come to %" PRIu64 " bytes of memory (it came to %" PRIu64 ")", job->number, call->memory);
                idl_error_set_guest_not_responding(error, job->vm->path, what, HYPERVISOR_MEMORY_MS);
        }
        job_done(job, r, error);
}

static int step_memory(struct job *job, struct idl_error *error) {
        const struct vm *vm = job->vm;
        uint64_t max = spec_memory_max(&vm->spec);
        struct hypervisor_call *call;

        if (!lifecycle_is_alive(vm->state))
                return 1;
        if (job->number > max)
                return idl_error_set_bytes_exceeded(error, "memory", job->number, max);
        if (!hypervisor_of(job)->set_memory)
                return job_not_supported(job, "SetMemory", error);
        call = job_call(job);
        call->done = on_memory;
        return job_begun(job, hypervisor_of(job)->set_memory(vm->guest, call, job->number, error));
}

static int step_keep_memory(struct job *job, struct idl_error *error) {
        struct xcp_vm_spec spec = job->vm->spec;
        int r;

        if (spec.has_memory_max && spec.memory_max < job->number)
                spec.memory_max = job->number;
        if (!spec.has_memory_max && lifecycle_is_alive(job->vm->state)) {       /* what it may have does not shrink with what it has */
                spec.has_memory_max = true;
                spec.memory_max = spec.memory;
        }
        spec.memory = job->number;
        r = vm_change_spec(job->vm, &spec, error);
        if (r < 0)
                return r;
        xenopsd1_vm_emit_changed(job->vm->xenopsd->bus, job->vm->path, XENOPSD1_VM_PROPERTY_MEMORY);
        return 1;
}

static void on_vcpus(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;

        if (r == -ETIMEDOUT && !error->name)
                idl_error_set_guest_not_responding(error, job->vm->path, "let go of a virtual CPU", HYPERVISOR_VCPU_MS);
        job_done(job, r, error);
}

static int step_vcpus(struct job *job, struct idl_error *error) {
        const struct vm *vm = job->vm;
        struct hypervisor_call *call;
        uint32_t max = spec_vcpus_max(&vm->spec);

        if (!lifecycle_is_alive(vm->state))
                return 1;
        if (job->number > max)
                return idl_error_set_limit_exceeded(error, "vcpus", job->number, max);
        if (!hypervisor_of(job)->set_vcpus)
                return job_not_supported(job, "SetVcpus", error);
        call = job_call(job);
        call->done = on_vcpus;
        return job_begun(job, hypervisor_of(job)->set_vcpus(vm->guest, call, (uint32_t) job->number, error));
}

static int step_keep_vcpus(struct job *job, struct idl_error *error) {
        struct xcp_vm_spec spec = job->vm->spec;
        uint32_t vcpus = (uint32_t) job->number;
        int r;

        if (spec.has_vcpus_max && spec.vcpus_max < vcpus)
                spec.vcpus_max = vcpus;
        if (!spec.has_vcpus_max && lifecycle_is_alive(job->vm->state)) {
                spec.has_vcpus_max = true;
                spec.vcpus_max = spec.vcpus;
        }
        spec.vcpus = vcpus;
        job->vm->n_news++;
        r = vm_change_spec(job->vm, &spec, error);
        if (r < 0)
                return r;
        xenopsd1_vm_emit_changed(job->vm->xenopsd->bus, job->vm->path, XENOPSD1_VM_PROPERTY_VCPUS);
        return 1;
}

const struct step memory_steps[] = { { step_memory, .final = true }, { step_keep_memory }, { NULL } };
const struct step vcpus_steps[] = { { step_vcpus, .final = true }, { step_keep_vcpus }, { NULL } };

/* What follows an event */

/* Not if something else has happened to the VM since. */
static int step_still_so(struct job *job, struct idl_error *error) {
        return job->vm->n_changes == job->n_changes ? 1 : job_skip(job);
}

/* The state's reason is why: it stays. */
static int step_released(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;

        if (vm->state != XCP_VM_STATE_HALTED && vm->n_changes == job->n_changes) {
                char *detail = vm->detail ? strdup(vm->detail) : NULL;

                vm_set_state(vm, XCP_VM_STATE_HALTED, vm->reason, detail);
                free(detail);
        }
        return 1;
}

const struct step release_steps[] = {
        { step_still_so },
        { step_destroy, .final = true },
        { step_released },
        { step_detach_disks },
        { NULL },
};

static int undo_restart(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;

        vm_set_state(vm, XCP_VM_STATE_HALTED, vm->reason, "it could not be started again");
        return 1;
}

static int step_restarted(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;

        /* A guest that has come to its end again already, before it was known that it began: what follows that holds. */
        if (vm->state != XCP_VM_STATE_RUNNING && !job_will_follow(vm))
                vm_set_state(vm, XCP_VM_STATE_RUNNING, vm->reason, "");
        return 1;
}

/* The disks stay attached; attaching what is attached says where it is, which a manager that started again does not know. */
const struct step restart_steps[] = {
        { step_admit },
        { step_still_so },
        { step_destroy },
        { step_attach_disks, step_detach_disks },
        { step_prepare, step_destroy },
        { step_prepared, undo_restart },
        { step_start, undo_restart },
        { step_restarted, .commits = true },
        { step_look },
        { NULL },
};
