/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Seats: where a domain's backend runs. There are two kinds, a process of this domain (local-seat.c) and the controller of a driver domain
 * (remote-seat.c), and nothing else knows which.
 *
 * What a seat notices, it tells its domain by the domain_seat_...() functions of domain.h, only ever from the event loop.
 */

#include <stdbool.h>

#include "call.h"
#include "idl.h"

struct domain;
struct seat;

struct seat_kind {
        /* Whether it can take the domain, before anything is done: a namespace that is not there, a service that does not answer. */
        int (*check)(struct domain *domain, struct idl_error *error);

        /* Starts a backend, or finds the one there is; states follow. */
        int (*open)(struct seat **ret_seat, struct domain *domain, struct idl_error *error);

        /* Ends the backend. domain_seat_closed() follows, whatever happens, within 5 s. */
        void (*close)(struct seat *seat);

        /* Lets go of it. The backend, if it was not closed, goes on. */
        struct seat *(*free)(struct seat *seat);

        /* The domain's policy or limits are others. */
        void (*set_policy)(struct seat *seat);
        void (*set_limits)(struct seat *seat);

        /* Methods of org.xen.xcp.pvcalls1.Domain, which are answered later. */
        int (*list_sockets)(struct seat *seat, struct idl_call *call, struct idl_error *error);
        int (*close_socket)(struct seat *seat, struct idl_call *call, uint64_t id, struct idl_error *error);
        int (*close_all_sockets)(struct seat *seat, struct idl_call *call, struct idl_error *error);
        int (*get_counters)(struct seat *seat, struct idl_call *call, struct idl_error *error);
};

struct seat {                           /* the beginning of each kind's own */
        const struct seat_kind *kind;
        struct domain *domain;
};

extern const struct seat_kind local_seat, remote_seat;
