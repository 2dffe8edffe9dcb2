/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What local-seat.c and local-requests.c share: a backend that is a process of this domain. */

#include <sys/types.h>

#include "control-client.h"
#include "domain.h"

struct local {
        struct seat seat;
        pid_t pid;
        int pidfd;                      /* -1: there is no process */
        sd_event_source *exit;
        int ready_fd;
        sd_event_source *ready;
        struct control_client *control; /* NULL: it is not there yet, or not any more */
        sd_event_source *timer;         /* starts it, connects to it, or kills it */
        unsigned n_deaths;              /* since first_death */
        uint64_t first_death;
        bool closing;
};

/* local-requests.c */
void local_set_policy(struct seat *seat);
void local_set_limits(struct seat *seat);
int local_list_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error);
int local_close_socket(struct seat *seat, struct idl_call *call, uint64_t id, struct idl_error *error);
int local_close_all_sockets(struct seat *seat, struct idl_call *call, struct idl_error *error);
int local_get_counters(struct seat *seat, struct idl_call *call, struct idl_error *error);

/* It does what it must not, or not what it must: it is killed, and the rest follows from its end. */
void local_distrust(struct local *local, const char *why);
