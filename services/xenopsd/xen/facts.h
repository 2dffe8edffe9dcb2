/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts: what Xen cannot tell of a guest. Whether it has begun to run, as Xen knows no difference between a domain that has not and one
 * that is paused; which domain it is; and what its devices are called here.
 *
 * They are a file, which is there exactly as long as something of the guest may be, and says of which boot it is: no domain outlives one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor.h"

#define FACTS_NAME_SIZE 33u             /* spec.h: a device's name has at most 32 bytes */
#define FACTS_SIZE_MAX 16384u
#define FACTS_NO_DOMAIN UINT32_MAX

enum xen_facts_phase {
        FACTS_NONE,                     /* there is nothing of the guest */
        FACTS_BEGUN,                    /* a domain may be there, and be anything */
        FACTS_PREPARED,
        FACTS_STARTED,
        FACTS_REBUILDING,               /* its domain makes way for another like it, of UUID.config */
        _FACTS_PHASE_N,
};

struct xen_facts_device {
        char name[FACTS_NAME_SIZE];
        bool is_disk;
        bool is_plugged;
        bool is_left;                   /* it was unplugged, but the guest's device model has it until the guest boots anew (left.h) */
        uint32_t index;                 /* among the guest's disks or network interfaces, as devices.h has it */
};

struct xen_facts {
        enum xen_facts_phase phase;
        uint32_t domid;                 /* FACTS_NO_DOMAIN: to be found by the UUID */
        uint32_t other;                 /* another domain of the same UUID, which is not this guest: where it comes from, on the same host */
        uint64_t started_usec;          /* since 1970 */
        bool is_adopted;                /* somebody else made the domain */
        struct xen_facts_device devices[HYPERVISOR_DEVICES_MAX];
        size_t n_devices;
};

/* As text of at most FACTS_SIZE_MAX bytes with the NUL; and back: -EBADMSG if it is none, -ESTALE if it is of another boot. */
int xen_facts_print(const struct xen_facts *facts, const char *boot_id, char *text, size_t size);
int xen_facts_parse(struct xen_facts *ret_facts, const char *text, const char *boot_id);

/* Files: all of it, or as before. xen_facts_load() also -ENOENT. */
int xen_facts_save(const struct xen_facts *facts, const char *boot_id, int directory_fd, const char *name);
int xen_facts_load(struct xen_facts *ret_facts, const char *boot_id, int directory_fd, const char *name);

/* Writes a file of a directory, all of it or as before. */
int xen_facts_write_file(int directory_fd, const char *name, const char *text, size_t size);

struct xen_facts_device *xen_facts_find(struct xen_facts *facts, bool is_disk, const char *name);
uint32_t xen_facts_free_index(const struct xen_facts *facts, bool is_disk);

/* -E2BIG */
int xen_facts_add(struct xen_facts *facts, bool is_disk, const char *name, struct xen_facts_device **ret_device);
void xen_facts_remove(struct xen_facts *facts, struct xen_facts_device *device);
