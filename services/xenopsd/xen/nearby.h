/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Whether the host has come to know other neighbours: looked at every few seconds, once for all guests that have network interfaces. */

#include <systemd/sd-event.h>

struct nearby;
struct nearby_listener;

typedef void (*nearby_on_change_t)(void *userdata);

int nearby_new(struct nearby **ret_nearby, sd_event *event);
struct nearby *nearby_free(struct nearby *nearby);

int nearby_listener_new(struct nearby_listener **ret_listener, struct nearby *nearby, nearby_on_change_t on_change, void *userdata);
struct nearby_listener *nearby_listener_free(struct nearby_listener *listener);
