/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attachment.h"
#include "cleanup.h"
#include "clock.h"
#include "job.h"
#include "snapshot.h"
#include "vm-asking.h"
#include "xenopsd1-disk.h"
#include "xenopsd1-network-interface.h"
#include "xenopsd1-vm.h"

/* Beginning and end */

int vm_new(struct vm **ret_vm, struct xenopsd *xenopsd, struct backend *backend, const struct xcp_vm_spec *spec) {
        struct vm *vm = calloc(1, sizeof *vm);
        int r;

        if (!vm)
                return -ENOMEM;
        vm->xenopsd = xenopsd;
        vm->backend = backend;
        vm->state = XCP_VM_STATE_HALTED;
        vm->reason = XCP_VM_STATE_REASON_CREATED;
        snprintf(vm->uuid, sizeof vm->uuid, "%s", spec->uuid);
        r = xcp_vm_spec_copy(&vm->arena, &vm->spec, spec);
        for (size_t i = 0; i < spec->n_disks && r >= 0; i++)
                r = vm_add_device(vm, true, spec->disks[i].name, NULL);
        for (size_t i = 0; i < spec->n_network_interfaces && r >= 0; i++)
                r = vm_add_device(vm, false, spec->network_interfaces[i].name, NULL);
        if (r < 0) {
                vm_free(vm);
                return r;
        }
        *ret_vm = vm;
        return 0;
}

int vm_find_guest(struct vm *vm, struct idl_error *error) {
        const struct backend *backend = vm->backend;
        int r;

        if (vm->guest)
                return 0;
        if (!backend->backend)
                return idl_error_set_not_supported(error, "the backend of this VM");
        r = backend->hypervisor->guest_new(backend->backend, vm->uuid, vm, &vm->guest);
        if (r < 0)
                return idl_error_set_backend_failed(error, backend->hypervisor->name, "look for its guest",
                                                    strerrordesc_np(-r) ?: "unknown error");
        return 0;
}

struct vm *vm_free(struct vm *vm) {
        if (!vm)
                return NULL;
        if (vm->guest)                  /* first, as it lets go of the calls of operations that are under way */
                vm->backend->hypervisor->guest_free(vm->guest);
        vm->guest = NULL;
        vm_asking_drop_all(vm);
        job_drop_all(vm);
        while (vm->attachments)
                attachment_free(vm->attachments);
        while (vm->devices)
                vm_remove_device(vm->devices);
        console_free(vm->console);
        snapshots_free(vm);
        idl_arena_done(&vm->addresses_arena);
        idl_arena_done(&vm->arena);
        free(vm->detail);
        free(vm->saved_vdi);
        free(vm);
        return NULL;
}

int vm_publish(struct vm *vm) {
        char path[256];
        int r;

        r = vm_object_path(vm->uuid, NULL, path, sizeof path);
        if (r >= 0)
                r = objects_add_path(vm->xenopsd->vms, path, vm, &vm->path);
        for (struct device *device = vm->devices; device && r >= 0; device = device->next)
                r = vm_publish_device(device);
        if (r < 0)
                vm_unpublish(vm);
        return r;
}

void vm_unpublish(struct vm *vm) {
        for (struct device *device = vm->devices; device; device = device->next)
                vm_unpublish_device(device);
        if (vm->path)
                objects_remove(vm->xenopsd->vms, vm->path);
        vm->path = NULL;
}

struct vm *vm_find_uuid(struct xenopsd *xenopsd, const char *uuid) {
        char path[256];
        void *vm;

        return vm_object_path(uuid, NULL, path, sizeof path) >= 0 && objects_find(path, xenopsd->vms, &vm) > 0 ? vm : NULL;
}

struct vm *vm_find_name(struct xenopsd *xenopsd, const char *name) {
        for (struct vm *vm = xenopsd->first; vm; vm = vm->next)
                if (vm->path && strcmp(vm->spec.name, name) == 0)
                        return vm;
        return NULL;
}

int vm_check(struct vm *vm, enum lifecycle_operation operation, struct idl_error *error) {
        char expected[128];

        if (lifecycle_allows(vm->state, operation))
                return 0;
        return idl_error_set_bad_power_state(error, vm->path, lifecycle_expected(operation, expected, sizeof expected),
                                             xcp_vm_state_to_string(vm->state));
}

/* Configuration */

int vm_change_spec(struct vm *vm, const struct xcp_vm_spec *spec, struct idl_error *error) {
        struct idl_arena arena = IDL_ARENA_NULL;
        struct xcp_vm_spec copy;
        int r;

        r = xcp_vm_spec_copy(&arena, &copy, spec);
        if (r >= 0)
                r = store_change_vm(vm->xenopsd->store, vm->xenopsd->bus, &copy, error);
        if (r < 0) {
                idl_arena_done(&arena);
                return r;
        }
        idl_arena_done(&vm->arena);
        vm->arena = arena;
        vm->spec = copy;
        return 0;
}

/* What is known of the guest */

static void take_plugged(struct vm *vm, const struct hypervisor_status *status) {
        for (struct device *device = vm->devices; device; device = device->next) {
                bool plugged = status->state != HYPERVISOR_ABSENT;

                for (size_t i = 0; i < status->n_unplugged && plugged; i++)
                        plugged = strcmp(status->unplugged[i], device->name) != 0;
                vm_set_plugged(device, plugged);
        }
}

/* What the guest has let go of, or not, when nobody was there to see, is what its configuration says. */
static bool take_vcpus(struct vm *vm, uint32_t vcpus) {
        struct idl_error error = IDL_ERROR_NULL;
        struct xcp_vm_spec spec = vm->spec;
        int r;

        if (vcpus == 0 || vcpus == spec.vcpus)
                return false;
        if (!spec.has_vcpus_max) {
                spec.has_vcpus_max = true;
                spec.vcpus_max = spec.vcpus;
        }
        spec.vcpus = vcpus;
        r = spec.vcpus_max >= vcpus ? vm_change_spec(vm, &spec, &error) : -EUCLEAN;
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "VM %s has %u virtual CPUs, which cannot be written down: %s", vm->spec.name, vcpus,
                          error.message ?: strerrordesc_np(-r));
        idl_error_done(&error);
        return r >= 0;
}

/* Takes over what changed, and returns which properties that is. */
static unsigned take_facts(struct vm *vm, const struct hypervisor_status *status) {
        bool lives = status->state == HYPERVISOR_RUNNING || status->state == HYPERVISOR_SUSPENDED;
        bool ready = status->state == HYPERVISOR_RUNNING && (status->ready || status->n_addresses > 0);
        uint64_t started = lives || status->state == HYPERVISOR_ENDED ? status->started_usec : 0;
        unsigned changed = 0;

        if (vm->ready != ready)
                changed |= XENOPSD1_VM_PROPERTY_READY;
        if (vm->started_usec != started)
                changed |= XENOPSD1_VM_PROPERTY_STARTED_US;
        if (vm->pid != status->pid)
                changed |= XENOPSD1_VM_PROPERTY_PID;
        if (vm->n_domains != status->n_domains || memcmp(vm->domains, status->domains, vm->n_domains * sizeof vm->domains[0]) != 0)
                changed |= XENOPSD1_VM_PROPERTY_DOMAINS;
        vm->ready = ready;
        vm->started_usec = started;
        vm->pid = status->pid;
        vm->n_domains = status->n_domains;
        memcpy(vm->domains, status->domains, sizeof vm->domains);
        take_plugged(vm, status);
        if (vm_take_addresses(vm, status))
                changed |= XENOPSD1_VM_PROPERTY_ADDRESSES;
        if (take_vcpus(vm, lives ? status->vcpus : 0))
                changed |= XENOPSD1_VM_PROPERTY_VCPUS;
        return changed;
}

static void emit(struct vm *vm, unsigned changed) {
        if (changed && vm->path)
                xenopsd1_vm_emit_changed(vm->xenopsd->bus, vm->path, changed);
}

/* A VM without a guest has none of its facts. */
static unsigned forget_facts(struct vm *vm) {
        static const struct hypervisor_status absent = { .state = HYPERVISOR_ABSENT };

        return take_facts(vm, &absent);
}

static bool has_guest(enum xcp_vm_state state) {
        return lifecycle_is_alive(state) && state != XCP_VM_STATE_FAILED;
}

/* One that has come to its end may be there until it is cleared away: what it was is not told of the VM any more. */
void vm_take_facts(struct vm *vm, const struct hypervisor_status *status) {
        emit(vm, has_guest(vm->state) ? take_facts(vm, status) : forget_facts(vm));
}

/* State */

static unsigned change_state(struct vm *vm, enum xcp_vm_state state, enum xcp_vm_state_reason reason, const char *detail) {
        unsigned changed = 0;

        if (vm->state != state)
                changed |= XENOPSD1_VM_PROPERTY_STATE;
        if (lifecycle_is_alive(vm->state) != lifecycle_is_alive(state))
                changed |= XENOPSD1_VM_PROPERTY_CONSOLES;
        if (vm->reason != reason)
                changed |= XENOPSD1_VM_PROPERTY_STATE_REASON;
        if (strcmp(vm->detail ?: "", detail) != 0)
                changed |= XENOPSD1_VM_PROPERTY_STATE_DETAIL;
        vm->state = state;
        vm->reason = reason;
        free(vm->detail);
        vm->detail = *detail ? strdup(detail) : NULL;
        vm->n_changes++;
        vm->n_news++;
        store_set_life(vm->xenopsd->store, vm->uuid, &(struct store_life) { state, reason, detail });
        return changed;
}

static void tell_state(struct vm *vm, enum xcp_vm_state old, unsigned changed) {
        if (old != vm->state && vm->path)
                xenopsd1_vm_emit_state_changed(vm->xenopsd->bus, vm->path, old, vm->state, vm->reason);
        emit(vm, changed);
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_VM", vm->uuid }), "VM %s is %s: %s%s%s", vm->spec.name, xcp_vm_state_to_string(vm->state),
                  xcp_vm_state_reason_to_string(vm->reason), vm->detail ? ", " : "", vm->detail ?: "");
}

void vm_set_state(struct vm *vm, enum xcp_vm_state state, enum xcp_vm_state_reason reason, const char *detail) {
        enum xcp_vm_state old = vm->state;
        unsigned changed = change_state(vm, state, reason, detail ?: "");

        if (!has_guest(state))
                changed |= forget_facts(vm);
        else if (state != XCP_VM_STATE_RUNNING && vm->ready) {
                vm->ready = false;
                changed |= XENOPSD1_VM_PROPERTY_READY;
        }
        tell_state(vm, old, changed);
}

/* Counted, and written down: a manager that crashes as its guests do would not end their loops otherwise. */
static bool may_restart(struct vm *vm) {
        uint64_t now = clock_now_usec(CLOCK_BOOTTIME);

        if (!restarts_allow(&vm->restarts, now))
                return false;
        store_add_restart(vm->xenopsd->store, vm->uuid, now, now > RESTARTS_WINDOW_USEC ? now - RESTARTS_WINDOW_USEC : 0);
        return true;
}

/* An event, with what the configuration wants done, and no restart too many. */
static struct lifecycle_outcome outcome_of(struct vm *vm, enum hypervisor_event event, const char **detail) {
        bool is_reboot = lifecycle_event_is_reboot(event);
        struct lifecycle_outcome outcome = lifecycle_event(vm->state, event, is_reboot ? vm->spec.on_reboot : vm->spec.on_crash);

        if (outcome.follow != FOLLOW_RESTART)
                return outcome;
        if (vm->is_away)
                *detail = VM_MAY_RUN_ELSEWHERE;
        else if (!may_restart(vm))
                *detail = "not restarted: it was, 5 times within 10 minutes";
        else
                return outcome;
        return lifecycle_event(vm->state, event, XCP_GUEST_ACTION_HALT);
}

static void follow(struct vm *vm, enum lifecycle_follow what) {
        int r;

        if (what == FOLLOW_NOTHING)
                return;
        r = job_follow(vm, what);
        if (r < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", vm->uuid }), "Cannot go on with VM %s: %s", vm->spec.name,
                          strerrordesc_np(-r) ?: "unknown error");
}

void vm_on_event(void *userdata, enum hypervisor_event event, const char *detail) {
        struct vm *vm = userdata;
        struct lifecycle_outcome outcome;

        if (event == HYPERVISOR_CHANGED) {
                vm_refresh(vm);
                return;
        }
        if (!vm->is_found)              /* what it was is not known yet, and is asked for once more: by then it has come to this */
                vm->n_news++;
        if (event == HYPERVISOR_TAKEN && (vm->job || vm->state != XCP_VM_STATE_RUNNING))        /* it stands still anyway, or will have been asked */
                return;
        if (!lifecycle_is_alive(vm->state) || !vm->path || job_will_follow(vm))   /* of a guest that is on its way out already */
                return;
        outcome = outcome_of(vm, event, &detail);
        if (outcome.follow == FOLLOW_NOTHING && outcome.state == vm->state && outcome.reason == vm->reason)
                return;                 /* the same once more */
        vm_set_state(vm, outcome.state, outcome.reason, detail);
        follow(vm, outcome.follow);
}

/* The state that goes with a backend's, as far as that can be told. */
static enum xcp_vm_state state_of(const struct vm *vm, const struct hypervisor_status *status) {
        static const enum xcp_vm_state states[] = {
                [HYPERVISOR_ABSENT] = XCP_VM_STATE_HALTED,
                [HYPERVISOR_PREPARED] = XCP_VM_STATE_PREPARED,
                [HYPERVISOR_RUNNING] = XCP_VM_STATE_RUNNING,
                [HYPERVISOR_SUSPENDED] = XCP_VM_STATE_SUSPENDED,
        };

        return status->state == HYPERVISOR_ABSENT && vm->saved_vdi ? XCP_VM_STATE_SAVED : states[status->state];
}

void vm_take_status(struct vm *vm, const struct hypervisor_status *status, enum xcp_vm_state_reason reason) {
        enum xcp_vm_state old = vm->state, state;
        unsigned changed;

        if (status->state == HYPERVISOR_ENDED) {
                /* Its event has told already, or it is a guest that was stopped and is not cleared away yet. */
                vm_take_facts(vm, status);
                if (vm->state == XCP_VM_STATE_RUNNING && !vm->job)
                        vm_on_event(vm, status->event, status->detail);
                return;
        }
        state = state_of(vm, status);
        changed = take_facts(vm, status);
        if (state == old || (status->state == HYPERVISOR_ABSENT && old == XCP_VM_STATE_FAILED)) {
                emit(vm, changed);
                return;
        }
        changed |= change_state(vm, state, reason, status->detail);
        tell_state(vm, old, changed);
}

int vm_set_away(struct vm *vm, bool is_away, struct idl_error *error) {
        int r;

        if (vm->is_away == is_away)
                return 0;
        r = store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { vm->saved_vdi, is_away, vm->passing }, error);
        if (r >= 0)
                vm->is_away = is_away;
        return r;
}

/* When the service starts */

static void found_absent(struct vm *vm, const struct store_life *life) {
        enum xcp_vm_state_reason reason = life->reason ?: XCP_VM_STATE_REASON_CREATED;

        if (vm->saved_vdi)
                vm_set_state(vm, XCP_VM_STATE_SAVED, XCP_VM_STATE_REASON_FOUND, "");
        else if (vm->is_away)
                vm_set_state(vm, XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_MIGRATED_AWAY, "");
        else if (life->state == XCP_VM_STATE_FAILED)
                vm_set_state(vm, XCP_VM_STATE_FAILED, reason, life->detail);
        else if (life->state && life->state != XCP_VM_STATE_PREPARED && lifecycle_is_alive(life->state)) {
                vm->state = life->state;
                vm_on_event(vm, HYPERVISOR_EXITED, "it was gone when the manager started");
        } else if (life->state == XCP_VM_STATE_HALTED)
                vm_set_state(vm, XCP_VM_STATE_HALTED, reason, life->detail);
        else if (life->state || store_is_new_boot(vm->xenopsd->store))
                vm_set_state(vm, XCP_VM_STATE_HALTED, XCP_VM_STATE_REASON_FOUND, "");
}

static void found_ended(struct vm *vm, const struct hypervisor_status *status, const struct store_life *life) {
        bool is_reboot = lifecycle_event_is_reboot(status->event);
        struct lifecycle_outcome outcome;

        outcome = lifecycle_event(XCP_VM_STATE_RUNNING, status->event, is_reboot ? vm->spec.on_reboot : vm->spec.on_crash);
        if (life->state == outcome.state && !(is_reboot && outcome.follow == FOLLOW_RESTART)) {
                vm_set_state(vm, outcome.state, XCP_VM_STATE_REASON_FOUND, life->detail);
                follow(vm, outcome.follow);
                return;
        }
        /* It happened while nobody looked. */
        vm->state = life->state && lifecycle_is_alive(life->state) ? life->state : XCP_VM_STATE_RUNNING;
        vm_on_event(vm, status->event, status->detail);
}

/*
 * A manager that was killed between writing down that the memory is saved, or before writing down that it was restored, and the guest
 * that is there: the guest is what holds. Its disks may be others by now than the memory knows.
 */
static void forget_saved(struct vm *vm) {
        struct idl_error error = IDL_ERROR_NULL;

        if (!vm->saved_vdi || vm->passing != STORE_LASTING)     /* of a snapshot: snapshots_recover() */
                return;
        if (store_set_fate(vm->xenopsd->store, vm->uuid, &(struct store_fate) { .is_away = vm->is_away }, &error) < 0)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_VM", vm->uuid }), "VM %s may be taken for Saved later: %s", vm->spec.name,
                          error.message ?: "unknown error");
        idl_error_done(&error);
        free(vm->saved_vdi);
        vm->saved_vdi = NULL;
}

void vm_found(struct vm *vm, const struct hypervisor_status *status, const struct store_life *life) {
        vm->is_found = true;
        if (status->state == HYPERVISOR_ABSENT)
                found_absent(vm, life);
        else {
                forget_saved(vm);
                emit(vm, take_facts(vm, status));
                if (status->state == HYPERVISOR_ENDED)
                        found_ended(vm, status, life);
                else
                        vm_set_state(vm, state_of(vm, status), XCP_VM_STATE_REASON_FOUND,
                                     vm->is_away ? VM_MAY_RUN_ELSEWHERE : status->detail);
                vm_connect_console(vm);
        }
        job_next(vm);
}

/* The console */

void vm_connect_console(struct vm *vm) {
        const struct hypervisor *hypervisor = vm->backend->hypervisor;
        int r, fd;

        if (!hypervisor->connect_console || !hypervisor->consoles || !hypervisor->consoles[0].name)
                return;
        r = vm->console ? 0 : console_new(&vm->console, vm->xenopsd->event, hypervisor->consoles[0].name);
        if (r >= 0)
                r = hypervisor->connect_console(vm->guest, hypervisor->consoles[0].name, &fd);
        if (r >= 0)
                r = console_connect(vm->console, fd);
        if (r < 0)
                log_event(LOG_WARNING, LOG_FIELDS({ "XCP_VM", vm->uuid }), "VM %s has no console: %s", vm->spec.name,
                          strerrordesc_np(-r) ?: "unknown error");
}
