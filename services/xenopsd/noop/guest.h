/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Noop guests: the record of each, its clock, its console, and the operations that are under way. What the operations do is in
 * operations.c and stream.c.
 */

#include <systemd/sd-event.h>

#include "boot-id.h"
#include "login.h"
#include "record.h"

struct noop {
        struct hypervisor_host host;
        char *state_dir;
        char boot_id[BOOT_ID_SIZE];
};

struct noop_guest {
        struct noop *noop;
        void *userdata;                 /* the manager's */
        char *path;                     /* of the file */
        struct record record;
        struct noop_action *actions;    /* under way */
        sd_event_source *timer;         /* what the guest does next */
        uint64_t said_usec;             /* of its run: up to where its console has said what there was to say */
        struct login login;
        int console_fd;                 /* the guest's end, or -1 */
        sd_event_source *console;
};

/* An operation that is under way. What it does, apply() does when its time has come; all or nothing. */
struct noop_action {
        struct noop_guest *guest;
        struct noop_action *next;
        struct hypervisor_call *call;
        const char *what;               /* for errors */
        enum noop_way way;
        int (*apply)(struct noop_action *action, struct idl_error *error);
        sd_event_source *timer, *io;
        uint64_t begun_usec, ms;
        bool cancelled;
        struct record record;           /* what the guest will be */
        bool flag;                      /* paused, force, or has to be switched off */
        bool *ret_flag;
        uint64_t number;
        char name[RECORD_NAME_SIZE];
        struct record_device device;
        int fd;
        char *buffer;
        size_t n_buffer;
};

uint64_t noop_now_usec(void);           /* CLOCK_BOOTTIME */

/* Begins an operation, which goes as options say. -ENOMEM and the like. */
int noop_begin(struct noop_guest *guest, struct hypervisor_call *call, const struct noop_options *options, enum noop_verb verb,
               const char *what, int (*apply)(struct noop_action *action, struct idl_error *error), struct noop_action **ret_action);

/* Has it take at least so long. */
int noop_action_delay(struct noop_action *action, uint64_t ms);

/* Ends it. */
void noop_action_end(struct noop_action *action, int r, struct idl_error *error);
void noop_cancel(void *guest, struct hypervisor_call *call);

/* Writes a copy of the record with another state down, then makes it so. error: NotEnoughSpace and the like. */
int noop_guest_become(struct noop_guest *guest, enum hypervisor_state state, enum hypervisor_event event, struct idl_error *error);

/* Writes the record down as it is. */
int noop_guest_save(struct noop_guest *guest, struct idl_error *error);

/* It begins anew, from its first instruction; paused: before it. */
int noop_guest_boot(struct noop_guest *guest, bool paused, struct idl_error *error);

/* After any change: the clock is set to what comes next. */
void noop_guest_watch(struct noop_guest *guest);

/* Something that the guest does by itself. */
void noop_guest_does(struct noop_guest *guest, enum hypervisor_event event, const char *detail);

void noop_guest_hang_up(struct noop_guest *guest);

int noop_guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest);
void noop_guest_free(void *guest);
int noop_connect_console(void *guest, const char *name, int *ret_fd);

/* operations.c and stream.c */
int noop_query(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_prepare(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error);
int noop_start(void *guest, struct hypervisor_call *call, bool paused, struct idl_error *error);
int noop_stop(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error);
int noop_reboot(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error);
int noop_reset(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_suspend(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_resume(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_destroy(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_power_button(void *guest, struct idl_error *error);
int noop_save(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error);
int noop_restore(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
int noop_check_send(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_send(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error);
int noop_receive(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
int noop_set_memory(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error);
int noop_set_vcpus(void *guest, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error);
int noop_plug_disk(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
int noop_unplug_disk(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
int noop_change_medium(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
int noop_refresh_disk(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
int noop_plug_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error);
int noop_unplug_network(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
int noop_move_network(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, struct idl_error *error);
int noop_set_network(void *guest, const struct xcp_network_interface_spec *spec, struct idl_error *error);
int noop_statistics(void *guest, struct hypervisor_call *call, struct idl_error *error);
int noop_disk_statistics(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
int noop_network_statistics(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
