/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Xen guests: the facts of each, its domain, its console, and the operations that are under way.
 *
 * Of a guest there are, in the backend's directory, its facts, UUID, and while its domain is replaced that one's configuration,
 * UUID.config; one with a screen has a socket, UUID.vnc.
 */

#include <libxl.h>
#include <systemd/sd-event.h>

#include "boot-id.h"
#include "facts.h"
#include "loop.h"
#include "worker.h"

#define GUEST_FILE_SIZE 48u
#define GUEST_SCREEN_SUFFIX ".vnc"

struct console_relay;
struct nearby;
struct nearby_listener;
struct store_node;
struct store_watch;
struct xen_action;

struct xen {
        struct hypervisor_host host;
        int directory_fd;
        char boot_id[BOOT_ID_SIZE];
        char version[48];
        const char *reason;             /* why Xen cannot be used; NULL: it can */
        struct loop *loop;
        struct workers *workers;
        struct store_watch *watch;
        struct nearby *nearby;
};

struct xen_guest {
        struct xen *xen;
        void *userdata;                 /* the manager's */
        char uuid[37];
        struct xen_facts facts;
        struct loop_domain *domain;     /* NULL: nothing is heard of it */
        struct console_relay *console;
        struct store_node *attributes;  /* what the guest says of itself in xenstore */
        struct store_node *cpus;        /* which virtual CPUs are to be there: somebody else may have it so, as `xl vcpu-set` */
        struct nearby_listener *neighbours;     /* NULL: it has no network interface */
        sd_event_source *attributes_timer;
        struct xen_action *actions;
        uint64_t late_usec;             /* lateness.h: until when it may suspend without being wanted to; 0: it may not */
        bool is_end_known;              /* its domain had shut down when it was found: that is not told of as an event, too */
        bool is_recovering;             /* what an earlier manager left half done is being seen to: questions wait for that */
};

int xen_guest_new(void *backend, const char *uuid, void *userdata, void **ret_guest);
void xen_guest_free(void *guest);

/* Takes away guests that are no VM's. */
int xen_guest_sweep(void *backend, bool (*is_known)(void *userdata, const char *uuid), void *userdata);

/* Writes its facts down, as they are to be. error: NotEnoughSpace and the like, and they are as they were. */
int xen_guest_save(struct xen_guest *guest, const struct xen_facts *facts, struct idl_error *error);

/* It has this domain now: events and console are that one's. */
void xen_guest_take_domain(struct xen_guest *guest, uint32_t domid);
void xen_guest_leave_domain(struct xen_guest *guest);

/* It is listened for what the host's neighbours are, if it has a network interface now. */
int xen_guest_watch_neighbours(struct xen_guest *guest);

/* There is nothing of it any more. */
void xen_guest_forget(struct xen_guest *guest);

/* The configuration beside its facts. -ENOENT */
int xen_guest_save_config(struct xen_guest *guest, const char *json);
int xen_guest_load_config(const struct xen_guest *guest, char **ret_json);

void xen_guest_tell(struct xen_guest *guest, enum hypervisor_event event, const char *detail);

int xen_guest_connect_console(void *guest, const char *name, int *ret_fd);
