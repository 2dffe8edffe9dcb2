/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Facts: what has to be known of a guest beside what its QEMU says, as a file in its directory and in memory.
 *
 * They are written before there is anything that they tell of. They hold for one boot of the host.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor.h"
#include "options.h"
#include "process.h"

#define FACTS_FILE "guest"
#define FACTS_NETWORKS_MAX 16u          /* spec.h: network interfaces of a VM */
#define FACTS_MAC_SIZE 18u              /* of a MAC address as text */
#define FACTS_SIZE_MAX (64u * 1024)    /* of a file; 80 names of 32 bytes and little else */

enum facts_phase {
        FACTS_BEGUN = 1,               /* an operation is bringing it up: a manager that finds it so takes it away */
        FACTS_PREPARED,                /* it has not run */
        FACTS_STARTED,
        FACTS_ENDING,                  /* an operation is taking it away: a manager that finds it so does that to the end */
};

struct facts_slot {
        char device[QEMU_ID_SIZE];      /* the identifier of the device in it; empty if there is none */
};

struct facts_network {
        char name[QEMU_ID_SIZE];
        char mac[FACTS_MAC_SIZE];
};

struct facts {
        enum facts_phase phase;
        struct process_identity process;
        uint64_t started_usec;
        enum qemu_machine machine;
        uint32_t vcpus;                 /* that it has; those of its configuration may be others, if a change went wrong */
        uint32_t n_queues;              /* of each disk that QEMU serves: the virtual CPUs that it was started with, as a saved state has them */
        size_t n_slots;
        struct facts_slot slots[QEMU_SLOTS_MAX];
        size_t n_unplugged;
        char unplugged[HYPERVISOR_DEVICES_MAX][QEMU_ID_SIZE];   /* identifiers of devices that it does not have any more */
        size_t n_networks;
        struct facts_network networks[FACTS_NETWORKS_MAX];
};

/* All of it, or as before. */
int facts_save(const struct facts *facts, const char *boot_id, int directory_fd);

/* -ENOENT: there is none; -ESTALE: it is of another boot, -EBADMSG: damaged. */
int facts_load(struct facts *ret_facts, const char *boot_id, int directory_fd);

/* The same as text: what is in the file. The caller frees it. */
int facts_print(const struct facts *facts, const char *boot_id, char **ret_text);
int facts_parse(struct facts *ret_facts, const char *untrusted, const char *boot_id);

bool facts_is_unplugged(const struct facts *facts, const char *id);
void facts_set_unplugged(struct facts *facts, const char *id, bool unplugged);

/* A network interface, which has its MAC address as long as the guest is there; with a name that is known, another MAC address for it. */
void facts_set_mac(struct facts *facts, const char *name, const char *mac);

bool facts_has_mac(const struct facts *facts, const char *mac);
const char *facts_find_mac(const struct facts *facts, const char *name);        /* NULL if there is none; valid until facts_set_mac() */

/* The slot of a device, or with an empty id a free one. -1: there is none. */
int facts_find_slot(const struct facts *facts, const char *id);
