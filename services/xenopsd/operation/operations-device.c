/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is done with the disks and network interfaces of a VM. */

#include <errno.h>
#include <string.h>

#include "operations.h"
#include "spec.h"
#include "steps.h"
#include "xenopsd1-disk.h"
#include "xenopsd1-network-interface.h"

static const struct hypervisor *hypervisor_of(const struct job *job) {
        return job->vm->backend->hypervisor;
}

static bool is_alive(const struct job *job) {
        return lifecycle_is_alive(job->vm->state);
}

static struct device *device_of(struct job *job) {
        return vm_find_device(job->vm, job->is_disk, job->device);
}

static const char *kind_of(const struct job *job) {
        return job->is_disk ? "disk" : "network interface";
}

/* Changes one device of the configuration, or removes it: with both NULL. */
static int change_device(struct job *job, const struct xcp_disk_spec *disk, const struct xcp_network_interface_spec *network,
                         struct idl_error *error) {
        struct xcp_disk_spec disks[SPEC_DISKS_MAX + 1];
        struct xcp_network_interface_spec networks[SPEC_NETWORK_INTERFACES_MAX + 1];
        const char *name = disk ? disk->name : network ? network->name : job->device;
        struct xcp_vm_spec spec = job->vm->spec;
        bool seen = false;
        size_t n = 0;

        for (size_t i = 0; job->is_disk && i < spec.n_disks; i++) {
                bool is_it = strcmp(spec.disks[i].name, name) == 0;

                seen |= is_it;
                if (!is_it || disk)
                        disks[n++] = is_it ? *disk : spec.disks[i];
        }
        for (size_t i = 0; !job->is_disk && i < spec.n_network_interfaces; i++) {
                bool is_it = strcmp(spec.network_interfaces[i].name, name) == 0;

                seen |= is_it;
                if (!is_it || network)
                        networks[n++] = is_it ? *network : spec.network_interfaces[i];
        }
        if (disk && !seen)
                disks[n++] = *disk;
        if (network && !seen)
                networks[n++] = *network;
        if (job->is_disk) {
                spec.disks = disks;
                spec.n_disks = n;
        } else {
                spec.network_interfaces = networks;
                spec.n_network_interfaces = n;
        }
        return vm_change_spec(job->vm, &spec, error);
}

static void tell_changed(const struct device *device, unsigned properties) {
        if (!device || !device->path)
                return;
        if (device->is_disk)
                xenopsd1_disk_emit_changed(device->vm->xenopsd->bus, device->path, properties);
        else
                xenopsd1_network_interface_emit_changed(device->vm->xenopsd->bus, device->path, properties);
}

/* Its disk or network interface may have gone while it waited. */
static int step_exists(struct job *job, struct idl_error *error) {
        return device_of(job) ? 1 : idl_error_set_does_not_exist(error, kind_of(job), job->device);
}

static int step_is_unplugged(struct job *job, struct idl_error *error) {
        struct device *device = device_of(job);

        if (!device)
                return step_exists(job, error);
        return device->plugged ? idl_error_set_bad_state(error, kind_of(job), job->device, "unplugged", "plugged") : 1;
}

static int step_is_plugged(struct job *job, struct idl_error *error) {
        struct device *device = device_of(job);

        if (!device)
                return step_exists(job, error);
        return device->plugged ? 1 : idl_error_set_bad_state(error, kind_of(job), job->device, "plugged", "unplugged");
}

/* Plug */

static int step_plug_attach(struct job *job, struct idl_error *error) {
        return is_alive(job) && job->is_disk ? step_attach_disk(job, vm_disk_spec(job->vm, job->device), error) : 1;
}

static int undo_plug_attach(struct job *job, struct idl_error *error) {
        return is_alive(job) && job->is_disk ? step_detach_disk(job, job->device) : 1;
}

static int plug_disk(struct job *job, struct idl_error *error) {
        struct hypervisor_disk disk;
        int r;

        r = steps_locate_disk(job, vm_disk_spec(job->vm, job->device), &disk, error);
        return r < 0 ? r : job_begun(job, hypervisor_of(job)->plug_disk(job->vm->guest, job_call(job), &disk, error));
}

static int step_plug(struct job *job, struct idl_error *error) {
        const struct hypervisor *hypervisor = hypervisor_of(job);

        if (!is_alive(job))
                return 1;
        if (job->is_disk ? !hypervisor->plug_disk : !hypervisor->plug_network)
                return job_not_supported(job, "Plugging devices", error);
        if (job->is_disk)
                return plug_disk(job, error);
        return job_begun(job, hypervisor->plug_network(job->vm->guest, job_call(job), vm_network_spec(job->vm, job->device), error));
}

static int step_plugged(struct job *job, struct idl_error *error) {
        if (is_alive(job))
                vm_set_plugged(device_of(job), true);
        vm_refresh(job->vm);            /* it may have addresses */
        return 1;
}

const struct step plug_steps[] = {
        { step_is_unplugged },
        { step_plug_attach, undo_plug_attach },
        { step_plug, .final = true },
        { step_plugged },
        { NULL },
};

/* Unplug */

static void on_unplugged(struct hypervisor_call *call, int r, struct idl_error *error) {
        struct job *job = call->userdata;

        if (r == -ETIMEDOUT && !error->name)
                idl_error_set_guest_not_responding(error, job->vm->path, "let go of the device",
                                                 job->flag ? HYPERVISOR_FORCED_UNPLUG_MS : HYPERVISOR_UNPLUG_MS);
        job_done(job, r, error);
}

static int step_unplug(struct job *job, struct idl_error *error) {
        const struct hypervisor *hypervisor = hypervisor_of(job);
        struct hypervisor_call *call;
        int r;

        if (!device_of(job)->plugged || !is_alive(job))
                return 1;
        if (job->is_disk ? !hypervisor->unplug_disk : !hypervisor->unplug_network)
                return job_not_supported(job, "Unplugging devices", error);
        call = job_call(job);
        call->done = on_unplugged;
        r = job->is_disk ? hypervisor->unplug_disk(job->vm->guest, call, job->device, job->flag, error)
                         : hypervisor->unplug_network(job->vm->guest, call, job->device, job->flag, error);
        return job_begun(job, r);
}

static int step_unplugged(struct job *job, struct idl_error *error) {
        vm_set_plugged(device_of(job), false);
        vm_refresh(job->vm);
        return 1;
}

static int step_unplug_detach(struct job *job, struct idl_error *error) {
        return job->is_disk ? step_detach_disk(job, job->device) : 1;
}

const struct step unplug_steps[] = {
        { step_is_plugged },
        { step_unplug, .final = true },
        { step_unplugged },
        { step_unplug_detach },
        { NULL },
};

static int step_remove(struct job *job, struct idl_error *error) {
        int r;

        r = change_device(job, NULL, NULL, error);
        if (r < 0)
                return r;
        vm_remove_device(device_of(job));
        vm_refresh(job->vm);
        return 1;
}

const struct step remove_steps[] = {
        { step_exists },
        { step_unplug, .final = true },
        { step_remove },
        { step_unplug_detach },
        { NULL },
};

/* Add */

static int add_disk(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        struct xcp_disk_spec disk;
        int r;

        if (vm->spec.n_disks >= SPEC_DISKS_MAX)
                return idl_error_set_limit_exceeded(error, "disks", vm->spec.n_disks + 1, SPEC_DISKS_MAX);
        r = spec_complete_disk(&vm->spec, &job->disk, "spec", &job->arena, &disk, error);
        if (r < 0)
                return r;
        snprintf(job->device, sizeof job->device, "%s", disk.name);
        return change_device(job, &disk, NULL, error);
}

static int add_network(struct job *job, struct idl_error *error) {
        struct vm *vm = job->vm;
        struct xcp_network_interface_spec network;
        const struct spec_defaults defaults = xenopsd_spec_defaults(vm->xenopsd);
        size_t n = vm->spec.n_network_interfaces;
        int r;

        if (n >= SPEC_NETWORK_INTERFACES_MAX)
                return idl_error_set_limit_exceeded(error, "network interfaces", n + 1, SPEC_NETWORK_INTERFACES_MAX);
        r = spec_complete_network(&vm->spec, &job->network, &defaults, "spec", &job->arena, &network, error);
        if (r < 0)
                return r;
        snprintf(job->device, sizeof job->device, "%s", network.name);
        return change_device(job, NULL, &network, error);
}

static int step_add(struct job *job, struct idl_error *error) {
        int r;

        r = job->is_disk ? add_disk(job, error) : add_network(job, error);
        if (r < 0) {
                job->device[0] = '\0';  /* there is nothing to undo */
                return r;
        }
        r = vm_add_device(job->vm, job->is_disk, job->device, NULL);
        return r < 0 ? r : 1;
}

static int undo_add(struct job *job, struct idl_error *error) {
        struct device *device = device_of(job);
        int r;

        if (!job->device[0])
                return 1;
        r = change_device(job, NULL, NULL, error);
        if (device)
                vm_remove_device(device);
        return r < 0 ? r : 1;
}

static int step_added(struct job *job, struct idl_error *error) {
        const struct xcp_device_added added = { .device = device_of(job)->path };
        int r;

        r = work_result_new(job->work, &job->result);
        if (r >= 0)
                r = xcp_device_added_append(job->result, &added);
        return r < 0 ? r : 1;
}

const struct step add_device_steps[] = {
        { step_add, undo_add },
        { step_plug_attach, undo_plug_attach },
        { step_plug, .final = true },
        { step_plugged },
        { step_added },
        { NULL },
};

/* Media */

static int check_drive(struct job *job, bool want_empty, struct idl_error *error) {
        const struct xcp_disk_spec *spec = vm_disk_spec(job->vm, job->device);
        bool is_empty;
        int r;

        if (!spec)
                return step_exists(job, error);
        if (spec->kind != XCP_DISK_KIND_CD_ROM)
                return idl_error_set_not_supported(error, "Changing the medium of what is no CdRom");
        is_empty = !spec->vdi && !spec->path;
        if (is_empty != want_empty)
                return idl_error_set_bad_state(error, "disk", job->device, want_empty ? "empty" : "not empty",
                                               is_empty ? "empty" : "not empty");
        r = xcp_disk_spec_copy(&job->arena, &job->disk, spec);  /* the configuration may change meanwhile */
        job->disk.vdi = job->text;
        job->disk.path = NULL;
        return r < 0 ? r : 1;
}

static int step_is_empty(struct job *job, struct idl_error *error) {
        int r;

        r = check_drive(job, true, error);
        if (r >= 0)
                r = spec_check_is_new_vdi(&job->vm->spec, "vdi", job->text, error);
        return r < 0 ? r : 1;
}

static int step_is_loaded(struct job *job, struct idl_error *error) {
        return check_drive(job, false, error);
}

static int step_insert_attach(struct job *job, struct idl_error *error) {
        return is_alive(job) ? step_attach_disk(job, &job->disk, error) : 1;
}

static int step_change_medium(struct job *job, struct idl_error *error) {
        struct hypervisor_disk disk;
        int r;

        if (!is_alive(job) || !device_of(job)->plugged)
                return 1;
        if (!hypervisor_of(job)->change_medium)
                return job_not_supported(job, "Changing media", error);
        r = steps_locate_disk(job, &job->disk, &disk, error);
        return r < 0 ? r : job_begun(job, hypervisor_of(job)->change_medium(job->vm->guest, job_call(job), &disk, error));
}

static int step_keep_medium(struct job *job, struct idl_error *error) {
        int r;

        r = change_device(job, &job->disk, NULL, error);
        if (r < 0)
                return r;
        tell_changed(device_of(job), XENOPSD1_DISK_PROPERTY_VDI | XENOPSD1_DISK_PROPERTY_PATH);
        return 1;
}

const struct step insert_steps[] = {
        { step_is_empty },
        { step_insert_attach, undo_plug_attach },
        { step_change_medium, .final = true },
        { step_keep_medium },
        { NULL },
};

const struct step eject_steps[] = {
        { step_is_loaded },
        { step_change_medium, .final = true },
        { step_keep_medium },
        { step_unplug_detach },
        { NULL },
};

/* Refresh and Move */

static int step_refresh(struct job *job, struct idl_error *error) {
        if (!hypervisor_of(job)->refresh_disk)
                return job_not_supported(job, "Refresh", error);
        return job_begun(job, hypervisor_of(job)->refresh_disk(job->vm->guest, job_call(job), job->device, error));
}

const struct step refresh_steps[] = { { step_is_plugged }, { step_refresh, .final = true }, { NULL } };

static int step_move(struct job *job, struct idl_error *error) {
        const struct xcp_network_interface_spec *spec = vm_network_spec(job->vm, job->device);
        int r;

        if (!spec)
                return step_exists(job, error);
        r = xcp_network_interface_spec_copy(&job->arena, &job->network, spec);
        if (r < 0)
                return r;
        job->network.network = job->text;
        if (!is_alive(job) || !device_of(job)->plugged)
                return 1;
        if (!hypervisor_of(job)->move_network)
                return job_not_supported(job, "Move", error);
        return job_begun(job, hypervisor_of(job)->move_network(job->vm->guest, job_call(job), &job->network, error));
}

static int step_moved(struct job *job, struct idl_error *error) {
        int r;

        r = change_device(job, NULL, &job->network, error);
        if (r < 0)
                return r;
        tell_changed(device_of(job), XENOPSD1_NETWORK_INTERFACE_PROPERTY_NETWORK);
        vm_refresh(job->vm);
        return 1;
}

const struct step move_steps[] = { { step_move, .final = true }, { step_moved }, { NULL } };
