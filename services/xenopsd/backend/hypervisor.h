/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Hypervisors: what runs VMs. One table of functions for each, named in hypervisor.c; docs/writing-a-backend.md says how to
 * write one.
 *
 * A guest is what a backend has, or would have, of one VM. There is a guest for each VM, also while nothing of it exists: guest_new()
 * finds what there is, so that a service that starts again finds what it left.
 *
 * What takes time is an operation. It is begun with a struct hypervisor_call that the caller keeps until the end, and returns
 *
 *         0               it is under way: call->done() is called once, from the event loop and never from within
 *         < 0             it was refused, nothing was done, and error says why; done() is not called
 *
 * The manager has one operation that changes a guest under way at a time, and beside it any number of query, statistics
 * and open_port. An operation that failed leaves the guest in a state that query() can tell. cancel() asks for the end: done() follows within
 * HYPERVISOR_CANCEL_MS, with -ECANCELED and the guest as before, or with what the operation had become.
 *
 * What guests do by themselves comes as an event; what an operation brings about does not. Nothing here blocks.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "idl.h"
#include "xcp-types.h"

#define HYPERVISOR_CANCEL_MS 5000u      /* a guest's agent, or a monitor, may have to answer first */
#define HYPERVISOR_VCPU_MS 30000u        /* for a guest's kernel to let go of a virtual CPU: it moves what runs there elsewhere */
#define HYPERVISOR_MEMORY_MS 60000u      /* for a guest's balloon to be as it should be: memory has to be found, page by page */
#define HYPERVISOR_UNPLUG_MS 30000u      /* for a guest's kernel to let go of a device */
#define HYPERVISOR_FORCED_UNPLUG_MS 5000u
#define HYPERVISOR_DETAIL_MAX 256u      /* bytes of a sentence about a guest */
#define HYPERVISOR_DOMAINS_MAX 2u       /* a guest on its way elsewhere has two */
#define HYPERVISOR_ADDRESSES_MAX 64u    /* of a guest that are looked at */
#define HYPERVISOR_DEVICES_MAX 80u      /* spec.h: disks and network interfaces of a VM */

enum hypervisor_state {
        HYPERVISOR_ABSENT = 1,          /* there is nothing of it */
        HYPERVISOR_PREPARED,            /* all is allocated; it has not run */
        HYPERVISOR_RUNNING,
        HYPERVISOR_SUSPENDED,           /* in memory, and its virtual CPUs stand still */
        HYPERVISOR_ENDED,               /* it came to an end or a halt by itself: status.event says how. destroy() clears it away */
};

/* What a guest did. types.xml, VmState and VmStateReason, say what becomes of it; lifecycle.h which does. */
enum hypervisor_event {
        HYPERVISOR_NO_EVENT,
        HYPERVISOR_POWERED_OFF,         /* the guest switched itself off */
        HYPERVISOR_REBOOTED,            /* the guest wants to boot anew, and stands still */
        HYPERVISOR_PANICKED,            /* the guest crashed, and is still in memory */
        HYPERVISOR_WATCHDOG,            /* the guest's watchdog ran out */
        HYPERVISOR_DISK_FAILED,         /* it stands still over a disk; resume() goes on */
        HYPERVISOR_EXITED,              /* the process or domain is gone */
        HYPERVISOR_BROKEN,              /* the backend cannot go on with it */
        HYPERVISOR_TAKEN,               /* somebody else has it stand still, who saves it or moves it; resume() goes on */
        HYPERVISOR_CHANGED,             /* addresses, readiness or anything else of the status: ask */
        _HYPERVISOR_EVENT_N,
};

struct hypervisor_status {
        enum hypervisor_state state;
        enum hypervisor_event event;                    /* with HYPERVISOR_ENDED */
        char detail[HYPERVISOR_DETAIL_MAX];             /* the same for a person, or empty */
        bool ready;                                     /* the guest's agent has been heard of */
        uint64_t started_usec;                          /* since 1970; 0 if it has not run */
        uint32_t pid;                                   /* 0: no process */
        uint32_t vcpus;                                 /* that the guest has, where that may be others than it was given; 0: not looked at */
        uint32_t domains[HYPERVISOR_DOMAINS_MAX];
        size_t n_domains;
        /* Below: the backend's, valid until done() returns. */
        const struct xcp_guest_address *addresses;
        size_t n_addresses;
        const char *const *unplugged;                   /* names of devices that the guest does not have */
        size_t n_unplugged;
};

struct hypervisor_call;

typedef void (*hypervisor_done_t)(struct hypervisor_call *call, int r, struct idl_error *error);

struct hypervisor_call {
        hypervisor_done_t done;                         /* error is moved by whoever wants to keep it */
        void (*progress)(struct hypervisor_call *call, double part);    /* 0 to 1; may be NULL */
        void (*launched)(struct hypervisor_call *call);         /* with starts_per_cpu: another guest may be begun; may be NULL */
        void *userdata;                                 /* the caller's */
        void *under_way;                                /* the backend's, until done() */
        union {                                         /* results */
                struct hypervisor_status status;
                struct xcp_vm_statistics statistics;
                struct xcp_disk_statistics disk_statistics;
                struct xcp_network_statistics network_statistics;
                uint64_t memory;                        /* of set_memory() that has failed with -ETIMEDOUT: what the guest came to, in bytes */
                int connection;                         /* the backend's, valid until done() returns */
        };
};

/* A disk, and where its bytes are: NULL for a drive without a medium. */
struct hypervisor_disk {
        const struct xcp_disk_spec *spec;
        const struct xcp_data_path *path;
};

/* What a guest is made of. The caller's, and valid during the call only. */
struct hypervisor_config {
        const struct xcp_vm_spec *spec;                 /* complete: every name, the UUID and every MAC address are there */
        const struct hypervisor_disk *disks;            /* as many as spec->n_disks, in the same order */
};

/* What a backend gets from the manager. */
struct hypervisor_host {
        sd_event *event;
        const char *state_dir;                          /* a directory of its own, which exists */
        uint64_t stall_ms;                              /* how long whoever takes a guest that is saved or sent may stand still */
        void (*on_event)(void *userdata, enum hypervisor_event event, const char *detail);      /* userdata: the guest's */
};

struct hypervisor_option {
        const char *name;
        const char *about;                              /* one sentence */
};

/*
 * The functions of a backend. Those that are NULL are answered with NotSupported. `backend` is what open() returned, `guest` what
 * guest_new() did.
 */
struct hypervisor {
        const char *name;                               /* what a configuration calls it */
        const char *const *features;                    /* NULL ends them: save, migrate, hotplug, ... */
        const struct hypervisor_option *options;        /* the backend_options that it takes; .name NULL ends them */
        const enum xcp_data_path_kind *paths;           /* how it reaches disks, what it likes best first; 0 ends them */
        const struct xcp_console_info *consoles;        /* of every guest, one that is Serial, or none; .name NULL ends them */
        unsigned starts_per_cpu;                        /* guests that are prepared, restored or received at once, for each of the host's
                                                         * processors; others wait (admission.h). 0: any number */

        int (*open)(const struct hypervisor_host *host, void **ret_backend);
        void (*close)(void *backend);

        /* Whether it can be used here: true, and its version; or false, and why not. Strings of its own. */
        bool (*available)(void *backend, const char **ret_version, const char **ret_reason);

        /* Refuses a configuration that it could not run. */
        int (*check)(void *backend, const struct xcp_vm_spec *spec, struct idl_error *error);

        /*
         * How it reaches a disk of this VM, as in paths, where that depends on the VM. is_served: it can be read and written as soon as it
         * is attached; else that comes later, as with a guest that is received. NULL, or returning it: as in paths.
         */
        const enum xcp_data_path_kind *(*disk_paths)(void *backend, const struct xcp_vm_spec *spec, const struct xcp_disk_spec *disk,
                                                     bool is_served);

        /* The consoles of this VM, where that depends on it: first as in consoles, then others. NULL, or returning it: as in consoles. */
        const struct xcp_console_info *(*vm_consoles)(void *backend, const struct xcp_vm_spec *spec);

        /* Removes all guests that belong to no VM. Before the first guest_new(). */
        int (*sweep)(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata);

        int (*guest_new)(void *backend, const char *uuid, void *userdata, void **ret_guest);
        void (*guest_free)(void *guest);                /* what runs goes on running; operations under way are dropped without done() */

        /* The VM is not there any more, and its guest is absent: what is kept of it from one guest to the next goes too. May be NULL. */
        void (*forget)(void *guest);

        void (*cancel)(void *guest, struct hypervisor_call *call);

        /* Life */
        int (*query)(void *guest, struct hypervisor_call *call, struct idl_error *error);
        int (*prepare)(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, struct idl_error *error);
        int (*start)(void *guest, struct hypervisor_call *call, bool paused, struct idl_error *error);
        int (*stop)(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, bool *ret_forced, struct idl_error *error);
                /* Ends in HYPERVISOR_ENDED or ABSENT. After the timeout, with 0 at once, it is switched off; *ret_forced, which the
                 * caller keeps like the call, says whether. */
        int (*reboot)(void *guest, struct hypervisor_call *call, uint32_t timeout_ms, struct idl_error *error);
                /* Asks the guest; -ETIMEDOUT when it did not, and is as it was. */
        int (*reset)(void *guest, struct hypervisor_call *call, struct idl_error *error);
        int (*suspend)(void *guest, struct hypervisor_call *call, struct idl_error *error);
        int (*resume)(void *guest, struct hypervisor_call *call, struct idl_error *error);
        int (*destroy)(void *guest, struct hypervisor_call *call, struct idl_error *error);
                /* To ABSENT, whatever it is, and whatever another operation is at. */
        int (*power_button)(void *guest, struct idl_error *error);      /* at once */

        /* Elsewhere. Descriptors stay the caller's, and are open until done(). */
        int (*save)(void *guest, struct hypervisor_call *call, int fd, struct idl_error *error);
                /* Running or suspended, to suspended, and all of it is in the file. */
        int (*restore)(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
                /* Absent to suspended. */
        int (*check_send)(void *guest, struct hypervisor_call *call, struct idl_error *error);
                /* Whether it may be sent as it is now: asked before anything is done, here or where it would go. NULL: whatever it is. */
        int (*send)(void *guest, struct hypervisor_call *call, int fd, const struct xcp_migrate_options *options, struct idl_error *error);
                /* Running to suspended, when all of it is on its way. Nothing is written after that. */
        int (*receive)(void *guest, struct hypervisor_call *call, const struct hypervisor_config *config, int fd, struct idl_error *error);
                /* Absent to suspended. Not a byte more is read than send() wrote. */

        /* While it runs */
        int (*set_memory)(void *guest, struct hypervisor_call *call, uint64_t memory, struct idl_error *error);
                /* -ETIMEDOUT: the guest has not come to it within HYPERVISOR_MEMORY_MS, and has what it had. */
        int (*set_vcpus)(void *guest, struct hypervisor_call *call, uint32_t vcpus, struct idl_error *error);
                /* -ETIMEDOUT: the guest has not let go of one within HYPERVISOR_VCPU_MS. It may have of others, and may yet: query() says. */
        int (*plug_disk)(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
        int (*unplug_disk)(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
                /* -ETIMEDOUT, also of unplug_network(): the guest has not let go of it within HYPERVISOR_UNPLUG_MS, or with force the shorter time. */
        int (*change_medium)(void *guest, struct hypervisor_call *call, const struct hypervisor_disk *disk, struct idl_error *error);
        int (*refresh_disk)(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
        int (*plug_network)(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                            struct idl_error *error);
        int (*unplug_network)(void *guest, struct hypervisor_call *call, const char *name, bool force, struct idl_error *error);
        int (*move_network)(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec,
                            struct idl_error *error);
        int (*set_network)(void *guest, const struct xcp_network_interface_spec *spec, struct idl_error *error);   /* at once */

        int (*statistics)(void *guest, struct hypervisor_call *call, struct idl_error *error);
        int (*disk_statistics)(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);
        int (*network_statistics)(void *guest, struct hypervisor_call *call, const char *name, struct idl_error *error);

        /* Connects to a TCP port of the guest, by an interface in a network of the backend's own: into others nobody needs it, and they are
         * NotSupported. Unreachable: the guest refused. */
        int (*open_port)(void *guest, struct hypervisor_call *call, const struct xcp_network_interface_spec *spec, uint16_t port,
                         struct idl_error *error);

        /* A new connection to a console of a guest that is prepared or more; the caller's. There is one at a time to
         * one that is Serial, which the manager shares; of others, as many as are asked for. */
        int (*connect_console)(void *guest, const char *name, int *ret_fd);
};

/* All that were built in; NULL ends them. */
extern const struct hypervisor *const hypervisors[];
