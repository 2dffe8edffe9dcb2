/* SPDX-License-Identifier: LGPL-2.1-or-later */

#pragma once

/* When to try again what the storage service could not do: when it comes to the bus, and a while after storage_retry_later(). */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#define STORAGE_RETRY_MS 30000u

typedef void (*storage_retry_t)(void *userdata);

struct storage_retry {
        storage_retry_t retry;
        void *userdata;
        sd_event_source *timer;
        sd_bus_slot *owner;
};

/* Calls retry from now on when the service comes. In a zeroed object; storage_retry_stop() also after a failure. Negative errno: memory. */
int storage_retry_start(struct storage_retry *again, sd_event *event, sd_bus *bus, storage_retry_t retry, void *userdata);
void storage_retry_stop(struct storage_retry *again);

/* Calls retry in STORAGE_RETRY_MS as well. Before storage_retry_start() and after storage_retry_stop() this does nothing. */
void storage_retry_later(struct storage_retry *again);
