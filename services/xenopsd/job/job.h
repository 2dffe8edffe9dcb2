/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Jobs: what is done with a VM, one after another, and how it is undone.
 *
 * A job is of an operation, which is a list of steps. Steps are done in their order. When one fails, or the job is cancelled between
 * two, it and those before it are undone in the opposite order; then the backend is asked what the VM is. A step that commits is a
 * point from which there is no way back.
 *
 * Most jobs have a task. Those of the manager itself (what follows an event, autostart) have none.
 */

#include "vm.h"

#define JOB_DESTROY_MS 20000u           /* how long a backend has to take a guest away */
#define JOB_UNDO_MS 10000u              /* how long a step of undoing may take: then the rest is undone without it */

struct job;

/*
 * A step, or its undoing: 0 when it is under way (job_done() follows, from the event loop), 1 when it is done, or a negative errno.
 * A step that fails has to be one that its own undo can undo.
 */
typedef int (*job_step_t)(struct job *job, struct idl_error *error);

struct step {
        job_step_t run;
        job_step_t undo;                /* NULL: there is nothing to undo */
        bool commits;                   /* from here on, the job cannot be cancelled, and is not undone */
        bool final;                     /* once this has succeeded, the same: a request to cancel came too late */
        bool keeps;                     /* where there is no way back: when this fails, the rest is done all the same, and the job fails then */
};

struct operation {
        const char *name;               /* Start */
        enum lifecycle_operation lifecycle;
        enum queue_urgency urgency;
        bool needs_no_state;            /* it checks by itself whether it makes sense */
        bool not_cancellable;
        bool is_admitted;               /* it begins with step_admit(): until that is done, it waits */
        const struct step *steps;       /* .run NULL ends them */
        uint64_t n_done, n_failed;      /* counted */
};

enum operation_id {
        OPERATION_PREPARE, OPERATION_START, OPERATION_STOP, OPERATION_KILL, OPERATION_REBOOT, OPERATION_RESET, OPERATION_SUSPEND,
        OPERATION_RESUME, OPERATION_SAVE, OPERATION_RESTORE, OPERATION_SNAPSHOT, OPERATION_REVERT, OPERATION_DELETE_SNAPSHOT,
        OPERATION_MIGRATE, OPERATION_RECEIVE, OPERATION_DESTROY,
        OPERATION_SET_MEMORY, OPERATION_SET_VCPUS, OPERATION_ADD_DEVICE, OPERATION_PLUG, OPERATION_UNPLUG, OPERATION_INSERT,
        OPERATION_EJECT, OPERATION_REFRESH, OPERATION_MOVE, OPERATION_REMOVE, OPERATION_RELEASE, OPERATION_RESTART,
        _OPERATION_N,
};

/* What an operation is asked to do. Strings and specs are copied. */
struct job_arguments {
        bool flag;                      /* paused, force, is_disk */
        uint64_t number;                /* timeout_ms, memory, vcpus */
        const char *text;               /* a VDI, network, manager or snapshot */
        const char *place;              /* a storage repository */
        const struct xcp_disk_spec *disk;
        const struct xcp_network_interface_spec *network;
        const struct xcp_migrate_options *migrate;
        const struct device *device;
};

struct job {
        struct queue_entry entry;
        struct vm *vm;
        enum operation_id id;
        struct operation *operation;
        struct work *work;              /* NULL: nobody asked for it, or the service ends */

        struct idl_arena arena;         /* of the arguments */
        bool flag;
        uint64_t number;
        const char *text, *place;
        struct xcp_disk_spec disk;
        struct xcp_network_interface_spec network;
        struct xcp_migrate_options migrate;
        bool is_disk;
        char device[33];                /* its name: it may be gone when its turn comes */

        size_t step;
        enum xcp_vm_state before;       /* what the VM was when it began */
        bool runs, undoing, cancelled, committed, touched;
        bool too_late;                  /* a step took longer than it may: */
        const char *limited;            /* what that was to do; NULL: its operation */
        uint64_t limit_ms;
        bool kept;                      /* a step that keeps has failed */
        bool made_way;                  /* of Kill: another job was interrupted for it */
        unsigned n_changes;             /* of the state that a follow-up is for */
        unsigned n_news;                /* the VM's when the backend was asked what the guest is */
        unsigned n_looks;               /* answers to that which were old when they came */
        void (*cancel)(struct job *job);        /* of the step that is under way; NULL: there is none, or it cannot be */
        struct hypervisor_call call;
        sd_event_source *timer;
        sd_bus_message *result;
        int r;                          /* of the first failure */
        struct idl_error error;

        /* Of single steps */
        bool forced;
        size_t next_disk;
        struct xcp_disk_spec attaching; /* the disk that is being attached */
        struct attachment *attachment;
        struct remote_task *remote;
        int fd;
        sd_event_source *io;
        bool place_taken;               /* admission.h */
        struct job *next_waiting;
        bool remote_ended;
        bool activates;                 /* disks, as soon as they are attached */
        char owner[37];                 /* of what is garbage unless the job succeeds; empty: of nothing */
        struct xcp_vm_spec spec;        /* of a snapshot */
        const char *memory;             /* the VDI of its memory */
        const char *made;               /* the name of the VDI that is being made */
        sd_bus_slot *slot;
};

/* operations.c and its neighbours */
extern struct operation operations[_OPERATION_N];

/* Adds a job, with a task for the caller of a method, whose path is returned. call NULL: without one. */
int job_add(struct vm *vm, enum operation_id id, const struct job_arguments *arguments, struct idl_call *call, const char **ret_task,
            struct idl_error *error);

/* Adds what follows from an event. */
int job_follow(struct vm *vm, enum lifecycle_follow what);

/* Whether something waits that follows from an event, and nothing else has happened to the VM since: then its guest is on its way out. */
bool job_will_follow(const struct vm *vm);

/* Begins the next, if there is one and none is under way. */
void job_next(struct vm *vm);

/* All jobs are dropped without a word, because the service ends. */
void job_drop_all(struct vm *vm);

/* For steps */

/* The step that is under way has ended. error is moved. */
void job_done(struct job *job, int r, struct idl_error *error);

/* A call for a backend's operation, which ends the step when it is done. */
struct hypervisor_call *job_call(struct job *job);

/* There is no way back after the step that is under way, which returns this: -ECANCELED if somebody was faster. */
int job_commit(struct job *job);

/* The rest of the steps is not needed. To be returned. */
int job_skip(struct job *job);

/* Gives the step that is under way so long. what, a literal: who is waited for; NULL: the operation itself. */
void job_limit(struct job *job, uint64_t ms, const char *what);

/* What a step returns after it has begun such an operation; for operations that a backend does not have; and for other failures. */
int job_begun(struct job *job, int r);
int job_not_supported(struct job *job, const char *what, struct idl_error *error);

/* In place of an attachment's. */
void job_attachment_done(void *userdata, int r, struct idl_error *error);
void job_cancel_attachment(struct job *job);
