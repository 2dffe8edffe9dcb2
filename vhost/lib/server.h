/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A server: a back-end on an sd-event loop, which serves one front-end after the other.
 *
 * A vhost-user socket is one device, so one front-end is connected at a time; another one waits until that has gone. Either end may be the one that listens.
 */

#include <systemd/sd-event.h>

#include "backend.h"

#define VHOST_SERVER_RETRY_USEC (100 * 1000)    /* a front-end that is started again is soon found, and one that is not costs little */

struct vhost_server;

struct vhost_server_listener {
        void (*connected)(void *userdata);      /* either may be NULL */
        void (*closed)(const char *complaint, void *userdata);  /* NULL: the front-end has closed */
};

/*
 * fd: a listening socket, or a connected one, which is all that is then served. It is taken over if this succeeds. Ends the event loop when there is
 * nothing left to serve. listener may be NULL; all three are kept, not copied.
 */
int vhost_server_new(struct vhost_server **ret_server, sd_event *event, int fd, const struct vhost_device *device,
                     const struct vhost_server_listener *listener, void *userdata);

/*
 * The same for a front-end that listens at path: connects to it, and, when there is none or the connection has ended, tries again every VHOST_SERVER_RETRY_USEC.
 * -ENAMETOOLONG. path is kept, too.
 */
int vhost_server_new_client(struct vhost_server **ret_server, sd_event *event, const char *path, const struct vhost_device *device,
                            const struct vhost_server_listener *listener, void *userdata);

/* Only when no queue runs: see vhost_server_stop(). */
struct vhost_server *vhost_server_free(struct vhost_server *server);

/* Ends the connection, accepts and makes no other, and ends the loop once queues have ended. */
void vhost_server_stop(struct vhost_server *server);

/* Accepts and makes no other connection, and ends the loop once the one that there is has ended, if there is. */
void vhost_server_serve_last(struct vhost_server *server);

/* After vhost_queue_stopped() from a device with threads. */
void vhost_server_process(struct vhost_server *server);

struct vhost_backend *vhost_server_backend(struct vhost_server *server);

/*
 * A listening socket at a path, where a dead one is replaced. Returns its descriptor, the caller's. -ENAMETOOLONG; -EADDRINUSE: somebody listens there, or it is no socket;
 * or what bind(2) says.
 */
int vhost_server_listen(const char *path);
