/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What operations do to a noop guest. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "guest.h"

#define READ_PER_MS 64u                 /* bytes that a guest reads in a millisecond of its run; it writes half of it */
#define OPERATION_SIZE 4096u
#define PACKET_SIZE 1024u

static int bad(const struct noop_guest *guest, const char *what, struct idl_error *error) {
        bool absent = guest->record.state == HYPERVISOR_ABSENT;

        return idl_error_set_backend_failed(error, "noop", what, absent ? "there is no guest" : "the guest is in another state");
}

static bool is_in(const struct noop_guest *guest, enum hypervisor_state a, enum hypervisor_state b) {
        return guest->record.state == a || guest->record.state == b;
}

static bool has_booted(const struct noop_guest *guest) {
        const struct record *record = &guest->record;

        uint64_t ran = record_ran_usec(record, noop_now_usec());

        return is_in(guest, HYPERVISOR_RUNNING, HYPERVISOR_SUSPENDED) && ran > 0 && ran >= record->options.boot_ms * UINT64_C(1000);
}

/* Query */

static size_t list_addresses(const struct noop_guest *guest, struct xcp_guest_address *addresses, char (*texts)[2][24]) {
        const struct record *record = &guest->record;
        uint64_t ran = record_ran_usec(record, noop_now_usec());
        size_t n = 0;

        if (record->options.address_ms == NOOP_NEVER || !is_in(guest, HYPERVISOR_RUNNING, HYPERVISOR_SUSPENDED) || ran == 0 ||
            ran < record->options.address_ms * UINT64_C(1000))
                return 0;
        for (size_t i = 0; i < record->n_devices && n < HYPERVISOR_ADDRESSES_MAX; i++) {
                const struct record_device *device = record->devices + i;
                const unsigned char *mac = device->mac;

                if (device->is_disk || !device->plugged || !device->carrier)
                        continue;
                snprintf(texts[n][0], sizeof texts[n][0], "10.%u.%u.%u", mac[3], mac[4], mac[5]);
                snprintf(texts[n][1], sizeof texts[n][1], "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
                         mac[5]);
                addresses[n] = (struct xcp_guest_address) { texts[n][0], texts[n][1], device->user_network
                                                                                              ? XCP_ADDRESS_SOURCE_USER_NETWORK
                                                                                              : XCP_ADDRESS_SOURCE_AGENT };
                n++;
        }
        return n;
}

static int apply_query(struct noop_action *action, struct idl_error *error) {
        struct noop_guest *guest = action->guest;
        const struct record *record = &guest->record;
        struct hypervisor_status *status = &action->call->status;
        struct xcp_guest_address addresses[HYPERVISOR_ADDRESSES_MAX];
        char texts[HYPERVISOR_ADDRESSES_MAX][2][24];
        const char *unplugged[HYPERVISOR_DEVICES_MAX];
        size_t n_unplugged = 0;

        for (size_t i = 0; i < record->n_devices && n_unplugged < HYPERVISOR_DEVICES_MAX; i++)
                if (!record->devices[i].plugged)
                        unplugged[n_unplugged++] = record->devices[i].name;
        *status = (struct hypervisor_status) {
                .state = record->state,
                .event = record->event,
                .ready = record->state == HYPERVISOR_RUNNING && has_booted(guest),
                .started_usec = record->started_usec,
                .addresses = addresses,
                .n_addresses = list_addresses(guest, addresses, texts),
                .unplugged = unplugged,
                .n_unplugged = n_unplugged,
        };
        noop_action_end(action, 0, error);      /* while the arrays are there */
        return -EINPROGRESS;
}

int noop_query(void *guest, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *g = guest;

        return noop_begin(g, call, &g->record.options, NOOP_QUERY, "say what its guest is", apply_query, NULL);
}

/* Prepare, start, stop */

static int apply_prepare(struct noop_action *action, struct idl_error *error) {
        struct noop_guest *guest = action->guest;
        int r;

        if (guest->record.state != HYPERVISOR_ABSENT)
                return bad(guest, "prepare a guest", error);
        record_move(&guest->record, &action->record);
        r = noop_guest_save(guest, error);
        if (r < 0)
                record_done(&guest->record);
        return r;
}

int noop_prepare(void *userdata, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        struct record record;
        int r;

        r = record_init(&record, config->spec, error);
        if (r < 0)
                return r;
        r = noop_begin(guest, call, &record.options, NOOP_PREPARE, "prepare a guest", apply_prepare, &action);
        if (r < 0) {
                record_done(&record);
                return r;
        }
        action->record = record;
        return 0;
}

static int apply_start(struct noop_action *action, struct idl_error *error) {
        if (action->guest->record.state != HYPERVISOR_PREPARED)
                return bad(action->guest, action->what, error);
        return noop_guest_boot(action->guest, action->flag, error);
}

int noop_start(void *userdata, struct hypervisor_call *call, bool paused, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_START, "start its guest", apply_start, &action);
        if (r >= 0)
                action->flag = paused;
        return r;
}

static int apply_stop(struct noop_action *action, struct idl_error *error) {
        *action->ret_flag = action->flag;
        if (is_in(action->guest, HYPERVISOR_ABSENT, HYPERVISOR_ENDED))
                return 0;
        return noop_guest_become(action->guest, HYPERVISOR_ENDED, HYPERVISOR_POWERED_OFF, error);
}

/* Asks the guest, which has so long. */
static int ask_to_stop(struct noop_guest *guest, struct noop_action *action, uint32_t timeout_ms) {
        const struct noop_options *options = &guest->record.options;
        uint32_t takes_ms = options->shutdown == NOOP_SHUTDOWN_CLEAN ? options->shutdown_ms : NOOP_NEVER;

        if (options->shutdown == NOOP_SHUTDOWN_CRASH)
                noop_guest_does(guest, HYPERVISOR_PANICKED, "asked to power down, as its backend_options say");
        action->flag = takes_ms > timeout_ms;
        if (action->way != NOOP_OK)
                return 0;
        return noop_action_delay(action, options->verbs[NOOP_STOP].ms + (action->flag ? timeout_ms : takes_ms));
}

int noop_stop(void *userdata, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error) {
        static const struct noop_options at_once;
        struct noop_guest *guest = userdata;
        bool can_answer = guest->record.state == HYPERVISOR_RUNNING && timeout_ms > 0;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, can_answer ? &guest->record.options : &at_once, NOOP_STOP, "stop its guest", apply_stop, &action);
        if (r < 0)
                return r;
        action->ret_flag = ret_forced;
        action->flag = true;
        return can_answer ? ask_to_stop(guest, action, timeout_ms) : 0;
}

static int apply_reboot(struct noop_action *action, struct idl_error *error) {
        if (action->guest->record.state != HYPERVISOR_RUNNING)
                return bad(action->guest, action->what, error);
        if (action->flag)
                return -ETIMEDOUT;
        return noop_guest_boot(action->guest, false, error);
}

int noop_reboot(void *userdata, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        const struct noop_options *options = &guest->record.options;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, options, NOOP_REBOOT, "reboot its guest", apply_reboot, &action);
        if (r < 0)
                return r;
        action->flag = options->shutdown != NOOP_SHUTDOWN_CLEAN || options->shutdown_ms > timeout_ms;
        if (action->way != NOOP_OK)
                return 0;
        return noop_action_delay(action, options->verbs[NOOP_REBOOT].ms + (action->flag ? timeout_ms : options->shutdown_ms));
}

static int apply_reset(struct noop_action *action, struct idl_error *error) {
        if (is_in(action->guest, HYPERVISOR_ABSENT, HYPERVISOR_PREPARED))
                return bad(action->guest, action->what, error);
        return noop_guest_boot(action->guest, false, error);
}

int noop_reset(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_RESET, "reset its guest", apply_reset, NULL);
}

static int apply_suspend(struct noop_action *action, struct idl_error *error) {
        if (action->guest->record.state != HYPERVISOR_RUNNING)
                return bad(action->guest, action->what, error);
        return noop_guest_become(action->guest, HYPERVISOR_SUSPENDED, HYPERVISOR_NO_EVENT, error);
}

int noop_suspend(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_SUSPEND, "suspend its guest", apply_suspend, NULL);
}

static int apply_resume(struct noop_action *action, struct idl_error *error) {
        struct record *record = &action->guest->record;
        bool from_disk_failure = record->state == HYPERVISOR_ENDED && record->event == HYPERVISOR_DISK_FAILED;

        /* A guest that stands still because it wants to boot anew does so now. */
        if (record->state == HYPERVISOR_ENDED && record->event == HYPERVISOR_REBOOTED)
                return noop_guest_boot(action->guest, false, error);
        if (record->state != HYPERVISOR_SUSPENDED && !from_disk_failure)
                return bad(action->guest, action->what, error);
        record->disk_failure_is_over |= from_disk_failure;
        return noop_guest_become(action->guest, HYPERVISOR_RUNNING, HYPERVISOR_NO_EVENT, error);
}

int noop_resume(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_RESUME, "resume its guest", apply_resume, NULL);
}

static int apply_destroy(struct noop_action *action, struct idl_error *error) {
        return noop_guest_become(action->guest, HYPERVISOR_ABSENT, HYPERVISOR_NO_EVENT, error);
}

int noop_destroy(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_DESTROY, "destroy its guest", apply_destroy, NULL);
}

int noop_power_button(void *userdata, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        if (guest->record.options.shutdown == NOOP_SHUTDOWN_CLEAN)
                noop_guest_does(guest, HYPERVISOR_POWERED_OFF, "its power button was pressed");
        else if (guest->record.options.shutdown == NOOP_SHUTDOWN_CRASH)
                noop_guest_does(guest, HYPERVISOR_PANICKED, "its power button was pressed, as its backend_options say");
        return 0;
}

/* While it runs */

static int apply_memory(struct noop_action *action, struct idl_error *error) {
        struct record *record = &action->guest->record;
        uint64_t before = record->memory;
        int r;

        record->memory = action->number;
        r = noop_guest_save(action->guest, error);
        if (r < 0)
                record->memory = before;
        return r;
}

int noop_set_memory(void *userdata, struct hypervisor_call *call, uint64_t memory, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_MEMORY, "change its guest's memory", apply_memory, &action);
        if (r < 0)
                return r;
        action->number = memory;
        call->memory = guest->record.memory;    /* if it is not heeded */
        return 0;
}

static int apply_vcpus(struct noop_action *action, struct idl_error *error) {
        struct record *record = &action->guest->record;
        uint32_t before = record->vcpus;
        int r;

        record->vcpus = (uint32_t) action->number;
        r = noop_guest_save(action->guest, error);
        if (r < 0)
                record->vcpus = before;
        return r;
}

int noop_set_vcpus(void *userdata, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_VCPUS, "change its guest's virtual CPUs", apply_vcpus, &action);
        if (r >= 0)
                action->number = vcpus;
        return r;
}

/* Devices */

static int apply_plug(struct noop_action *action, struct idl_error *error) {
        struct record *record = &action->guest->record;
        struct record_device *device = record_find_device(record, action->device.is_disk, action->device.name);
        int r;

        if (device)
                *device = action->device;
        else {
                r = record_add_device(record, &action->device);
                if (r < 0)
                        return r;
        }
        return noop_guest_save(action->guest, error);
}

static int plug(struct noop_guest *guest, struct hypervisor_call *call, const struct record_device *device, const char *what) {
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, &guest->record.options, NOOP_PLUG, what, apply_plug, &action);
        if (r >= 0)
                action->device = *device;
        return r;
}

int noop_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct record_device device = { .is_disk = true, .plugged = true };

        snprintf(device.name, sizeof device.name, "%s", disk->spec->name);
        return plug(guest, call, &device, "plug a disk");
}

int noop_plug_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        struct record_device device;

        record_device_network(&device, spec);
        return plug(guest, call, &device, "plug a network interface");
}

int noop_move_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        struct record_device device;

        record_device_network(&device, spec);
        return plug(guest, call, &device, "move a network interface");
}

static int apply_unplug(struct noop_action *action, struct idl_error *error) {
        struct record_device *device = record_find_device(&action->guest->record, action->device.is_disk, action->device.name);

        if (!device)
                return 0;
        device->plugged = false;
        return noop_guest_save(action->guest, error);
}

static int unplug(struct noop_guest *guest, struct hypervisor_call *call, bool is_disk, const char *name, bool force) {
        static const struct noop_options unasked;
        struct noop_action *action;
        int r;

        r = noop_begin(guest, call, force ? &unasked : &guest->record.options, NOOP_UNPLUG, "unplug a device", apply_unplug, &action);
        if (r < 0)
                return r;
        action->device.is_disk = is_disk;
        snprintf(action->device.name, sizeof action->device.name, "%s", name);
        return 0;
}

int noop_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, true, name, force);
}

int noop_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error) {
        return unplug(guest, call, false, name, force);
}

static int apply_nothing(struct noop_action *action, struct idl_error *error) {
        return 0;
}

int noop_change_medium(void *userdata, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, disk->path ? NOOP_PLUG : NOOP_UNPLUG, "change a medium", apply_nothing,
                          NULL);
}

int noop_refresh_disk(void *userdata, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_PLUG, "refresh a disk", apply_nothing, NULL);
}

int noop_set_network(void *userdata, const struct xcp_network_interface_spec *spec, struct idl_error *error) {
        struct noop_guest *guest = userdata;
        struct record_device *device = record_find_device(&guest->record, false, spec->name);

        if (!device || device->carrier == spec->carrier)
                return 0;
        device->carrier = spec->carrier;
        return noop_guest_save(guest, error);
}

/* Figures: what follows from how long it has run */

static int apply_statistics(struct noop_action *action, struct idl_error *error) {
        const struct record *record = &action->guest->record;
        uint64_t ran = record_ran_usec(record, noop_now_usec());

        action->call->statistics = (struct xcp_vm_statistics) {
                .uptime_us = record->started_usec > 0 && record->state != HYPERVISOR_ENDED ? ran : 0,
                .has_cpu_time_us = true,
                .cpu_time_us = ran / 50 * record->vcpus,        /* each is busy for a fiftieth of the time */
                .has_memory = true,
                .memory = record->memory,
                .has_memory_used = has_booted(action->guest),
                .memory_used = record->memory / 4,
        };
        return 0;
}

int noop_statistics(void *userdata, struct hypervisor_call *call, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_STATISTICS, "count", apply_statistics, NULL);
}

static int apply_disk_statistics(struct noop_action *action, struct idl_error *error) {
        uint64_t bytes = record_ran_usec(&action->guest->record, noop_now_usec()) / 1000 * READ_PER_MS;

        action->call->disk_statistics = (struct xcp_disk_statistics) {
                .read_bytes = bytes,
                .read_operations = bytes / OPERATION_SIZE,
                .written_bytes = bytes / 2,
                .write_operations = bytes / 2 / OPERATION_SIZE,
                .errors = action->guest->record.event == HYPERVISOR_DISK_FAILED,
        };
        return 0;
}

int noop_disk_statistics(void *userdata, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_STATISTICS, "count", apply_disk_statistics, NULL);
}

static int apply_network_statistics(struct noop_action *action, struct idl_error *error) {
        uint64_t bytes = record_ran_usec(&action->guest->record, noop_now_usec()) / 1000 * READ_PER_MS;

        action->call->network_statistics = (struct xcp_network_statistics) {
                .received_bytes = bytes,
                .received_packets = bytes / PACKET_SIZE,
                .sent_bytes = bytes / 2,
                .sent_packets = bytes / 2 / PACKET_SIZE,
        };
        return 0;
}

int noop_network_statistics(void *userdata, struct hypervisor_call *call, const char *name, struct idl_error *error) {
        struct noop_guest *guest = userdata;

        return noop_begin(guest, call, &guest->record.options, NOOP_STATISTICS, "count", apply_network_statistics, NULL);
}
