/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The device of one frontend: the handshake with it over the store, for as long as the toolstack wants it. */

#include <stdint.h>

#include <systemd/sd-event.h>

#include "guest.h"
#include "handshake.h"

struct device;

struct device_listener {
        /* state is a value of PvcallsState; reason is empty but for Failed. */
        void (*state)(const char *state, const char *reason, void *userdata);
        void (*denied)(enum policy_call call, const struct pvcalls_name *address, const struct policy_verdict *verdict, void *userdata);
};

/*
 * terms and listener are kept, not copied. -ENOENT: the toolstack has made no such device. The loop ends (sd_event_exit) with 0 when the
 * device is gone, and with a negative errno when the store cannot be reached any more.
 */
int device_new(struct device **ret_device, sd_event *event, uint32_t domid, uint32_t number, struct guest_terms *terms,
               const struct device_listener *listener, void *userdata);

/* Does the first steps. */
int device_start(struct device *device);

/* Closes all sockets. The frontend is told that the backend is closing, if leaving: it may come back when another backend does. */
struct device *device_free(struct device *device);
void device_leave(struct device *device);

static inline void device_freep(struct device **device) {
        device_free(*device);
}

/* NULL unless the frontend is connected. */
struct guest *device_guest(struct device *device);
const char *device_state(const struct device *device);
const char *device_reason(const struct device *device);
