/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The VM manager: what all of its parts have in common. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admission.h"
#include "hypervisor.h"
#include "remote-task.h"
#include "service.h"
#include "spec.h"
#include "storage-retry.h"
#include "store.h"

#define XENOPSD_VM_PREFIX "/org/xen/xcp/xenopsd/vm"
#define XENOPSD_TASK_PREFIX "/org/xen/xcp/xenopsd/task"
#define XENOPSD_VMS_MAX 10000u          /* about 8 kB each */
#define XENOPSD_BACKENDS_MAX 8u
#define XENOPSD_OPEN_PORT_MS 20000u     /* for a guest to take a connection, which may be busy: less than callers wait for a reply */
#define XENOPSD_STALL_MS 180000u        /* for who takes a guest, or sends it, to go on: it may wait for a place there, or for a disk */
#define XENOPSD_QUERY_MS 5000u          /* how long a backend has to say what a guest is: a monitor answers in less than one */

struct vm;
struct attachment;

struct backend {
        const struct hypervisor *hypervisor;
        void *backend;                  /* NULL: it could not be opened */
        bool available;
        const char *version, *reason;
        char *failure;                  /* why it could not be opened */
        struct admission admission;
};

struct xenopsd {
        struct service *service;
        sd_bus *bus;
        sd_event *event;
        struct store *store;
        struct remote_tasks *remote;
        struct backend backends[XENOPSD_BACKENDS_MAX];
        size_t n_backends;
        char *default_backend;
        struct objects *vms, *disks, *networks;
        struct vm *first;               /* all VMs, and those that are being received */
        size_t n_vms;
        struct autostart *autostart;    /* what is still to be started */
        struct garbage *garbage;        /* VDIs that are to be destroyed */
        struct attachment *orphans;     /* of VMs that are gone, and could not be detached */
        struct storage_retry detaching;
        uint64_t n_attachments_stale;
        uint64_t stall_ms;              /* XENOPSD_STALL_MS, or what $XCP_STALL_MS says */
        uint64_t n_waiting;             /* jobs that wait for a place (admission.h) */
};

/* A backend by its name: DoesNotExist, or NotSupported if it cannot be used here. */
int xenopsd_find_backend(struct xenopsd *xenopsd, const char *name, struct backend **ret_backend, struct idl_error *error);

/* What a configuration is completed from. */
struct spec_defaults xenopsd_spec_defaults(struct xenopsd *xenopsd);

/* manager-object.c */
int manager_object_export(struct xenopsd *xenopsd);
