/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A guest that is connected: its command ring, its sockets, and the work they make.
 *
 * All that it has is let go of by guest_free(), whatever it has done: sockets are closed, pages unmapped, ports unbound. A guest that breaks
 * the protocol is told to its listener, once, and gets no more service; nobody else notices.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

#include "guest-limits.h"
#include "policy.h"
#include "xen.h"

struct guest;

/* What outlives a connection of the frontend's. It is the owner's, who may change it between turns of the loop. */
struct guest_terms {
        struct policy policy;
        struct limits limits;
        struct rate sockets_rate, bytes_rate;
        struct counters counters;
        struct transfers *transfers;    /* io_uring; NULL: calls alone */
        bool transfers_always;          /* even where it saves nothing */
        uint32_t spin_usec;             /* how long to look for more before sleeping, at most */
        const char *join;               /* with backends that say the same, guests are joined; NULL: with none */
        uint64_t serial;                /* of sockets; never goes back */
};

void guest_terms_set_limits(struct guest_terms *terms, const struct limits *limits);
void guest_terms_done(struct guest_terms *terms);

/* What the frontend has written to the store. */
struct guest_offer {
        uint32_t ring_ref;
        uint32_t port;
        bool suppress;                  /* notification suppression */
};

/* Called from within the loop. Neither may free the guest; that is for a later turn. */
struct guest_listener {
        void (*violated)(const char *reason, void *userdata);
        void (*denied)(enum policy_call call, const struct pvcalls_name *address, const struct policy_verdict *verdict, void *userdata);
};

struct guest_socket_report {
        uint64_t serial;
        const char *state;              /* a value of PvcallsSocketState */
        int family, type;               /* AF_INET and SOCK_STREAM, and so on */
        bool joined;                    /* to another guest */
        struct pvcalls_name local, remote;      /* zeroes: none */
        uint64_t n_received, n_sent, n_queued;
        uint64_t age_usec;
};

/* Maps the ring and binds the port. -EINVAL: the frontend has not granted them. terms, xen and listener are kept, not copied. */
int guest_new(struct guest **ret_guest, sd_event *event, struct xen *xen, struct guest_terms *terms, const struct guest_offer *offer,
              const struct guest_listener *listener, void *userdata);
struct guest *guest_free(struct guest *guest);

static inline void guest_freep(struct guest **guest) {
        guest_free(*guest);
}

/* Closes what the policy would not allow any more, as if its network had failed. Returns how many. */
unsigned guest_apply_policy(struct guest *guest);

/* The same for one, by its serial number (-ENOENT), or for all (returns how many). */
int guest_close_socket(struct guest *guest, uint64_t serial);
unsigned guest_close_all(struct guest *guest);

/* The socket with the lowest serial number of at least serial. Returns whether there is one. */
bool guest_report(struct guest *guest, uint64_t serial, struct guest_socket_report *ret_report);
uint32_t guest_n_sockets(const struct guest *guest);
