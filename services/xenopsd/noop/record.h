/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records: what a noop guest is, as a file of lines and in memory.
 *
 * Times of the guest's run are of CLOCK_BOOTTIME, which all processes of one boot have in common, and the file says of which boot it is:
 * a guest of another boot has ended with it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

#define RECORD_NAME_SIZE 72u            /* spec.h: names of VMs have 64 bytes, of devices 32 */
#define RECORD_SIZE_MAX (64u * 1024)    /* of a file or a stream, whatever the options */

struct record_device {
        char name[RECORD_NAME_SIZE];
        bool is_disk;
        bool plugged;
        bool carrier;                   /* of a network interface, as below */
        bool user_network;
        unsigned char mac[6];
};

struct record {
        enum hypervisor_state state;
        enum hypervisor_event event;    /* of HYPERVISOR_ENDED */
        char name[RECORD_NAME_SIZE];    /* of the VM, for the console */
        uint64_t started_usec;          /* since 1970 */
        uint64_t ran_usec;              /* how long it had run when it was last resumed or stopped */
        uint64_t resumed_usec;          /* CLOCK_BOOTTIME; while it runs */
        uint64_t memory;
        uint32_t vcpus;
        bool disk_failure_is_over;
        struct record_device *devices;
        size_t n_devices;
        struct xcp_dict_s_s_entry *entries;     /* the backend_options; strings are owned */
        size_t n_entries;
        struct noop_options options;    /* the same, read */
};

void record_done(struct record *record);

/* Moves a record to where one is. */
void record_move(struct record *to, struct record *from);

/* A new record of a guest that is prepared. */
int record_init(struct record *ret_record, const struct xcp_vm_spec *spec, struct idl_error *error);
int record_add_device(struct record *record, const struct record_device *device);
struct record_device *record_find_device(struct record *record, bool is_disk, const char *name);
void record_device_network(struct record_device *ret_device, const struct xcp_network_interface_spec *spec);

/* How long it has run. */
uint64_t record_ran_usec(const struct record *record, uint64_t now_usec);

/* As text, which the caller frees; and back: -EBADMSG if it is none, -ESTALE if it is of another boot (boot_id NULL: any will do). */
int record_print(const struct record *record, const char *boot_id, char **ret_text);
int record_parse(struct record *ret_record, const char *text, const char *boot_id);

/* Files: all of it, or as before. record_load() also -ENOENT. */
int record_save(const struct record *record, const char *boot_id, const char *path);
int record_load(struct record *ret_record, const char *boot_id, const char *path);
