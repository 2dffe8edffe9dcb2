/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The back-end's side of a connection: what a front-end asks is checked and done, and a device's queues run when they may.
 *
 * A device is a table (struct vhost_device) and what it does with requests. It is told when a queue begins and when it has to end; in between it
 * takes requests from the queue's ring, on whichever thread it likes. All else is this file's: a change of memory, addresses or features
 * ends the queues it concerns first, and has them begin again afterwards, so that no device ever sees one.
 *
 * Nothing here blocks, and all of it is called on one thread, but vhost_queue_clear_kick(), vhost_queue_flush() and vhost_queue_fail(), which are for
 * the thread that has the queue. vhost_server (server.h) is what most programs use to drive it.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "channel.h"
#include "ring.h"

struct vhost_backend;

#define VHOST_STATE_MAX 4096u           /* bytes: as many as go into any pipe at once */

enum vhost_queue_state {
        VHOST_QUEUE_IDLE,
        VHOST_QUEUE_RUNS,
        VHOST_QUEUE_ENDS,               /* the device was told to stop, and has not yet */
};

struct vhost_queue {
        struct vhost_backend *backend;
        uint16_t index;
        enum vhost_queue_state state;

        /* For the device, while it runs. */
        struct vhost_ring ring;
        int kick_fd;                    /* readable: there may be requests */
        bool at_once;                   /* there may be requests already, without a kick */
        void *userdata;                 /* the device's */

        /* What the front-end has said. */
        uint16_t size;
        uint32_t base;                  /* as in SET_VRING_BASE */
        struct vhost_vring_address address;
        bool has_address, is_enabled;
        atomic_bool is_started;         /* "Ring states": a kick has come */
        pthread_mutex_t lock;           /* of the two below: SET_VRING_CALL comes while a queue runs */
        int call_fd, err_fd;
        bool call_inband, err_inband;   /* there are none: requests take their place */
        atomic_bool call_waits, err_waits;      /* to be sent */
};

struct vhost_device {
        uint64_t features;              /* the device's own; those of rings and transport are added */
        uint16_t n_queues;
        uint16_t queue_size_max;        /* 0: VHOST_RING_SIZE_MAX */
        uint32_t config_size;           /* 0: there is no configuration space */

        /*
         * INBAND_NOTIFICATIONS is offered. Simulators have a use for it; QEMU (7.2 at least) does not know it, and sets its bit all the same.
         */
        bool has_inband;

        /* XEN_MMAP is offered: guests of this domain are served by pages that they grant. NULL: it is not. Kept, not copied. */
        const struct vhost_xen *xen;

        /* All of [offset, offset + n) is within config_size. set_config() may be NULL: nothing can be written. Negative errno: refused. */
        void (*get_config)(void *userdata, uint32_t offset, uint8_t *to, uint32_t n);
        int (*set_config)(void *userdata, uint32_t offset, const uint8_t *from, uint32_t n, bool is_migration);

        /* Features were negotiated; the device goes back to how it was at first. Either may be NULL. No queue runs then. */
        void (*negotiated)(void *userdata, uint64_t features);
        void (*reset)(void *userdata);

        /*
         * What another back-end is to go on with after a migration, beyond memory, rings and the configuration space: up to VHOST_STATE_MAX bytes, which
         * get_state() returns how many of; set_state() is given what somebody says is that, and checks it. No queue runs. Both may be NULL: there is
         * nothing.
         */
        size_t (*get_state)(void *userdata, uint8_t *to);
        int (*set_state)(void *userdata, const uint8_t *untrusted_from, size_t n);

        /*
         * A queue begins, and ends: from stop() on the device takes no more requests, but those that vhost_ring_has_left() tells of, answers those that it has,
         * and then calls vhost_queue_stopped(), on the back-end's thread, be it within stop() or later.
         */
        void (*start)(void *userdata, struct vhost_queue *queue);
        void (*stop)(void *userdata, struct vhost_queue *queue);

        /* Instead of these two, for a device without threads, under a vhost_server: takes what there is, answers it, and flushes. */
        void (*handle)(void *userdata, struct vhost_queue *queue);
};

enum vhost_backend_outcome {
        VHOST_BACKEND_CLOSED = 1,       /* the connection is over and nothing of it is left; another can begin */
};

/* The table is kept, not copied. -EINVAL: no queues, or more than VHOST_QUEUES_MAX, or a configuration space beyond VHOST_CONFIG_MAX. */
int vhost_backend_new(struct vhost_backend **ret_backend, const struct vhost_device *device, void *userdata);
/* No queue may run: after VHOST_BACKEND_CLOSED, or before a connection began. */
struct vhost_backend *vhost_backend_free(struct vhost_backend *backend);

/* Begins with a connected socket, which it takes over if this succeeds; else the errno is fcntl(2)'s. */
int vhost_backend_open(struct vhost_backend *backend, int fd);

/*
 * Does what can be done now, but of a flood of requests only some: the socket is ready as long as there are more, so that whoever else is waited for has his turn.
 * 0, or VHOST_BACKEND_CLOSED. Call it whenever the socket is ready for the events (level-triggered), and after vhost_queue_stopped().
 */
int vhost_backend_process(struct vhost_backend *backend);
int vhost_backend_fd(const struct vhost_backend *backend);
uint32_t vhost_backend_events(const struct vhost_backend *backend);     /* EPOLLIN, EPOLLOUT, or 0: do not even watch for its end */

/* Readable when something is to be done that did not come by the socket: call vhost_backend_process() then, too. The same for all connections. */
int vhost_backend_inside_fd(const struct vhost_backend *backend);

/* Begins to end the connection. */
void vhost_backend_close(struct vhost_backend *backend);

/* Why the last connection was ended, in words, or NULL if the front-end closed it. */
const char *vhost_backend_complaint(const struct vhost_backend *backend);

/* The configuration space is another: the front-end is told if it can be, and not before a ring is started. */
void vhost_backend_config_changed(struct vhost_backend *backend);

void vhost_queue_stopped(struct vhost_queue *queue);

/* The kick was seen. Before taking requests. */
void vhost_queue_clear_kick(struct vhost_queue *queue);
/* Lets the driver see what was put, and notifies it if it wants that. Returns whether it did. */
bool vhost_queue_flush(struct vhost_queue *queue);
/* The ring is broken: the front-end is told, and the device leaves the queue alone until it ends. */
void vhost_queue_fail(struct vhost_queue *queue);

/* What the front-end has negotiated. */
uint64_t vhost_backend_features(const struct vhost_backend *backend);
