/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Servers' insides, which server.c shares with keeper.c, who keeps them after a move of the service, and server-left.c, who asks for that. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "child.h"
#include "server.h"

struct operation;
struct waiter;

enum device_work {                              /* what a keeper's child does to a loop device: device.h */
        DEVICE_NOTHING,
        DEVICE_SYNC,
        DEVICE_RESIZE,
        DEVICE_END,
};

struct server {
        struct server *next;
        struct vdi *vdi;                        /* referenced */
        struct data_path path;                  /* its reader is owned */
        char *socket_path;
        int listen_fd, control_fd;
        int counters_fd;                        /* memory that outlives the process, which counts in it */
        struct child *child;                    /* NULL: to be started again */
        sd_event_source *timer;                 /* that does so, or kills it */
        uint64_t started_usec;
        bool stands_by;                         /* its reader is Attached only: server-standby.c */
        bool is_ending;
        bool is_paused;                         /* ended, but its socket is there, and it is started again when the ender is done */
        bool is_stale;                          /* shows a size that the disk had before */
        void (*when_unconnected)(struct server *server, int r);         /* server-unconnected.c */
        const struct operation *ender;          /* that has it end, and until it is done keeps another from taking its place, or asks it something; NULL: none */

        /* Once the service is another process's: keeper.c */
        bool is_leaving, stays;                 /* told to outlive this process; and has said that it will */
        struct waiter *waiters;                 /* calls that wait for its end */
        enum device_work work;

        /* One that another process keeps: server-left.c. There is no socket, child or control then. */
        char *keeper, *word;
        sd_bus_slot *wait, *end;                /* what was asked of it, and is not answered yet */
        uint64_t patient_until_usec;            /* to when its name may not be there yet */
        int end_fd;                             /* whose other end is the ender's: closed when it has ended */
        int end_r;                              /* a negative errno: it did not end */
        bool is_keeper_gone;                    /* of a loop device: when it was asked last, there was nobody */
};

struct server *server_find(const struct vdi *vdi, const char *reader);
int server_new(struct server **ret_server, struct vdi *vdi, const struct data_path *path);
void server_add(struct vdi *vdi, const struct data_path *path, bool stands_by);
void server_remove(struct server *server);
void server_stop_listening(struct server *server);

/* Has it answer what it has taken and end, or kills it when that takes too long. It may be gone when this returns. */
void server_begin_to_end(struct server *server);

/* The disk is held for a reader (hold.h): if one has waited for that, it begins. */
void server_held(const struct vdi *vdi, const char *reader);

/* One word to one that is this process's child: server-change.c. */
void server_tell_size(struct server *server);
void server_tell_limits(struct server *server);

/* A connection of QEMU's monitor begins by agreeing on nothing. */
int server_greet(int control_fd);

/* server-unconnected.c: calls that, perhaps at once, when nobody is connected, with 0; or with a negative errno: nobody can look. */
void server_when_unconnected(struct server *server, void (*then)(struct server *server, int r));

/* server-left.c: what is different of one that another process keeps. A loop device is ended by Detach only; else it is written out. */
int server_left_end(struct server *server, struct operation *operation);
void server_left_tell_size(struct server *server);
void server_left_tell_limits(struct server *server);
void server_left_done(struct server *server);

/* server-standby.c: whether a reader is to have one that stands by; its turn has come. */
bool server_may_stand_by(const struct vdi *vdi, const struct data_path *path);
void server_begin(struct server *server);

/* keeper.c: who waits for the end of one is told, or hears that nobody knows. */
void waiters_answer(struct waiter *waiters);
void waiters_fail(struct waiter *waiters, const char *reason);
void waiters_free(struct waiter *waiters);
