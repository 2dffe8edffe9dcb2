/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Handing over: how a service goes from one process to another, docs/service-move.md.
 *
 * The framework does it: calls, tasks, the database, the name, and what to do when anybody dies. A service that can be moved says so with
 * a struct handover_kind in its struct service_kind, and writes "handover" among its features.
 */

#include <stdbool.h>
#include <stdint.h>

#include "database.h"
#include "error.h"

/* Behind the service's name, those of the connections on which the two are talked to while one hands over to the other. */
#define HANDOVER_OLD_SUFFIX ".handover"
#define HANDOVER_STANDBY_SUFFIX ".standby"

struct handover;
struct handover_check;
struct service;

struct handover_kind {
        /*
         * Begins nothing any more by itself, and finishes what it has begun: tasks the framework knows of, this is about the rest. No calls
         * come. Returns 1 if there is nothing to finish, or 0 and then calls service_quiet() when it has. If it would take too long, a
         * negative errno with the error Busy, which names it, and nothing has changed.
         */
        int (*quiesce)(void *userdata, struct idl_error *error);

        /* Begins what it does by itself: after its start, which does not, or again after quiesce(). */
        int (*go)(void *userdata);

        /*
         * The state is another's, for good, and all that is left here is to pass on calls: what has to outlive this process does from now on. May be NULL.
         */
        void (*leave)(void *userdata);

        /*
         * Calls are not passed on any more. Whether something is left to see to: then the process stays, without its state, which it may not look at
         * any more, until it ends its loop. May be NULL.
         */
        bool (*stays)(void *userdata);

        /*
         * Can the service go on here with this state? It is another's, so that nothing may be changed that belongs to it. Ends by
         * handover_checked(), later or at once. What is put into *ret_checking goes to check_free(), which comes after that or before.
         */
        int (*check)(struct service *service, struct database *db, struct handover_check *check, void **ret_checking, struct idl_error *error);
        void (*check_free)(void *checking);
};

/* r: 0, or a negative errno with an error that says what is missing. */
void handover_checked(struct handover_check *check, int r, struct idl_error *error);

/* For service.c. */

/* Looks whose the state is: -EKEYEXPIRED if it is not this service's, with a word in the log. */
int handover_new(struct handover **ret_handover, struct service *service);
struct handover *handover_free(struct handover *handover);

/* Offers to hand over. */
int handover_export(struct handover *handover);

/* Waits for a state instead of coming up. */
int handover_stand_by(struct handover *handover);

/* The service has finished what quiesce() left. */
void handover_quiet(struct handover *handover);
