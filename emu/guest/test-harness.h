/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: plays the hypervisor that starts a real xenemu-guest, and the xenstored at the other end of its ring (toy-store.h). */

#include <glib.h>
#include <sys/types.h>

#include "channel.h"
#include "protocol.h"
#include "toy-store.h"

#define HARNESS_DOMID 5u

struct harness {
        char *run_dir;                  /* with dom5 and dom6 in it */
        struct emu_guest_boot boot;     /* sent by harness_start() */
        struct emu_guest_ready ready;   /* the answer */
        pid_t pid;
        int socket_fd;                  /* the hypervisor's end */
        int fds[EMU_GUEST_FDS];
        struct xenstore_domain_interface *page;
        struct channel_page *channel;
        struct toy_store *store;        /* under lock: a thread serves it */
        GMutex lock;
        GThread *thread;
        int stop_fd;
};

/* Prepares a domain whose run directory lies below parent, or below the temporary directory if that is NULL. */
void harness_init(struct harness *harness, const char *parent);

/* Starts the program, with clone(2) flags, and waits for its answer. */
void harness_start(struct harness *harness, int clone_flags);

/* Lets xenstored introduce the domain, as it does for XS_INTRODUCE, and serve it from then on. */
void harness_introduce(struct harness *harness);

/* Waits until the store has this many watches and open transactions. */
void harness_await_store(struct harness *harness, unsigned n_watches, unsigned n_transactions);

/* Closes the hypervisor's end and returns the wait status of the program. */
int harness_stop(struct harness *harness);
void harness_deinit(struct harness *harness);
