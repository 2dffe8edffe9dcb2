/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The other end of a backend's control socket; docs/pvcalls.md, "Control", has the messages.
 *
 * Requests may be made at any time and are answered in their order. The backend works on what a guest sends, so what comes from it is
 * judged like what comes from a guest.
 */

#include <stddef.h>
#include <sys/types.h>

#include <systemd/sd-event.h>

struct control_client;

/*
 * An answer: r is 0 and text what the backend said, "ok ..." and lines, or "error ..."; or r is negative, and text NULL: -ETIMEDOUT, or
 * -ECONNRESET if the connection is gone. May make requests, but not free the client.
 */
typedef void (*control_answer_t)(int r, char *text, void *userdata);

struct control_listener {
        void (*event)(char *text, void *userdata);      /* what comes by itself, without the word event; may not free the client */
        void (*gone)(void *userdata);                   /* the connection ended; all answers have been given. Frees the client */
};

/* Connects to the socket name in a directory. -ECONNREFUSED, -ENOENT: no backend is there. pid: who listens there. */
int control_client_new(struct control_client **ret_client, sd_event *event, int directory_fd, const char *name,
                       const struct control_listener *listener, void *userdata, pid_t *ret_pid);
struct control_client *control_client_free(struct control_client *client);

/* Takes the text. What is asked for but not answered when the client is freed gets -ECONNRESET. answer may be NULL. */
int control_client_ask(struct control_client *client, const char *text, size_t n, control_answer_t answer, void *userdata);
