/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VMs: what each is, and what is known of its guest. What is done with them is jobs (job.h), one after another.
 *
 * A VM's state is what its backend says. It changes here when an operation has succeeded, when the backend tells of an event, and
 * when the backend is asked; each change is written down, signalled and logged.
 */

#include "console.h"
#include "lifecycle.h"
#include "queue.h"
#include "xenopsd.h"

/* A disk or network interface, as an object. The rest is in the spec, under its name. */
struct device {
        struct vm *vm;
        struct device *next;
        bool is_disk;
        bool plugged;
        char *name;
        const char *path;               /* NULL: not on the bus */
};

struct vm {
        struct xenopsd *xenopsd;
        struct vm *next;
        struct backend *backend;
        void *guest;
        char uuid[37];
        const char *path;               /* NULL: not on the bus */
        struct idl_arena arena;         /* of the spec */
        struct xcp_vm_spec spec;        /* complete */
        struct device *devices;

        enum xcp_vm_state state;
        enum xcp_vm_state_reason reason;
        char *detail;
        unsigned n_changes;             /* of the state, so that what was meant for one is not done to the next */
        unsigned n_news;                /* of the state and what else an answer of the backend may be older than */
        char *saved_vdi;                /* of Saved */
        enum store_passing passing;
        struct snapshot *snapshots;     /* the oldest first */
        bool is_away;                   /* MigratedAway, or with a guest: it may run elsewhere; durably */
        bool is_found;                  /* its backend has been asked since the start of the service */
        bool is_going;                  /* it has been destroyed */
        bool is_unclean;                /* its backend may have something left of it although it is Halted */

        bool ready;                     /* of the guest, as it said last */
        uint64_t started_usec;
        uint32_t pid;
        uint32_t domains[HYPERVISOR_DOMAINS_MAX];
        size_t n_domains;
        struct idl_arena addresses_arena;
        struct xcp_guest_address *addresses;
        size_t n_addresses;

        struct queue queue;
        struct job *job;                /* the current one */
        struct asking *asking;          /* questions to the backend that are under way */
        size_t n_asking;
        struct restarts restarts;
        struct attachment *attachments;
        struct console *console;        /* NULL: it never had one */
};

/* spec: complete. It is on no list and not on the bus, and has no guest yet. */
int vm_new(struct vm **ret_vm, struct xenopsd *xenopsd, struct backend *backend, const struct xcp_vm_spec *spec);

/* Its guest, unless it has it: what could not be looked at when the service started may be so now. */
int vm_find_guest(struct vm *vm, struct idl_error *error);

struct vm *vm_free(struct vm *vm);

/* Puts it and its devices on the bus; the other way round. */
int vm_publish(struct vm *vm);
void vm_unpublish(struct vm *vm);

struct vm *vm_find_uuid(struct xenopsd *xenopsd, const char *uuid);
struct vm *vm_find_name(struct xenopsd *xenopsd, const char *name);

/* What it is allowed: BadPowerState otherwise. */
int vm_check(struct vm *vm, enum lifecycle_operation operation, struct idl_error *error);

/* Changes the configuration, on disk and here. spec may point into the old one. */
int vm_change_spec(struct vm *vm, const struct xcp_vm_spec *spec, struct idl_error *error);

/* The same when it is on disk already, with other devices: spec is the arena's, which the VM takes. */
int vm_take_spec(struct vm *vm, struct idl_arena *arena, const struct xcp_vm_spec *spec);

/* Devices. Object paths: device may be NULL, for the VM itself. */
int vm_object_path(const char *uuid, const struct device *device, char *text, size_t size);
int vm_publish_device(struct device *device);
void vm_unpublish_device(struct device *device);
struct device *vm_find_device(struct vm *vm, bool is_disk, const char *name);
const struct xcp_disk_spec *vm_disk_spec(const struct vm *vm, const char *name);
const struct xcp_network_interface_spec *vm_network_spec(const struct vm *vm, const char *name);
int vm_add_device(struct vm *vm, bool is_disk, const char *name, struct device **ret_device);
void vm_remove_device(struct device *device);
void vm_set_plugged(struct device *device, bool plugged);

/* State */
void vm_set_state(struct vm *vm, enum xcp_vm_state state, enum xcp_vm_state_reason reason, const char *detail);

/* The guest did something. For hypervisor_host. */
void vm_on_event(void *userdata, enum hypervisor_event event, const char *detail);

/* What the backend says of the guest: facts are taken over; with the state, if it is another, goes the reason. */
void vm_take_facts(struct vm *vm, const struct hypervisor_status *status);
void vm_take_status(struct vm *vm, const struct hypervisor_status *status, enum xcp_vm_state_reason reason);

/* The same of the addresses alone: whether they have changed. Of devices, it has to be known whether they are plugged. */
bool vm_take_addresses(struct vm *vm, const struct hypervisor_status *status);

/* Whether it runs elsewhere, or may. */
#define VM_MAY_RUN_ELSEWHERE "it may run elsewhere: nobody knows"       /* the detail of one that has a guest here */

int vm_set_away(struct vm *vm, bool is_away, struct idl_error *error);

/* When the service starts: what is there, and what was known when it ended. */
void vm_found(struct vm *vm, const struct hypervisor_status *status, const struct store_life *life);

/*
 * Asks the backend. begin: calls one of query, statistics, ...; it gets the guest and the call. done: gets what the call got; error is
 * set if r is negative, TimedOut after limit_ms. Not called if the VM goes before; then dropped is. LimitExceeded: too many ask. vm_ask()
 * is for what is answered at once, and has XENOPSD_QUERY_MS. An answer to vm_ask_query() is never older than vm->n_news.
 */
#define VM_ASKING_MAX 256u              /* at once, of one VM; each is a call that waits for its answer */

typedef int (*vm_ask_t)(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error);
typedef void (*vm_answer_t)(struct vm *vm, int r, const struct hypervisor_call *call, void *userdata, struct idl_error *error);

int vm_ask_within(struct vm *vm, uint64_t limit_ms, vm_ask_t begin, vm_answer_t done, void (*dropped)(void *userdata), void *userdata,
                  struct idl_error *error);
int vm_ask(struct vm *vm, vm_ask_t begin, vm_answer_t done, void (*dropped)(void *userdata), void *userdata, struct idl_error *error);
int vm_ask_query(struct vm *vm, struct hypervisor_call *call, void *userdata, struct idl_error *error);

/* Asks for the facts alone, in the background. */
void vm_refresh(struct vm *vm);

/* Its console, when it has a guest. Failures are logged. */
void vm_connect_console(struct vm *vm);

/* The object's own; vm-object.c, disk-object.c, network-object.c. */
int vm_objects_export(struct xenopsd *xenopsd);
int disk_objects_export(struct xenopsd *xenopsd);
int network_objects_export(struct xenopsd *xenopsd);
