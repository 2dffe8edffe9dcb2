/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* When to try again what the storage service could not do (storage-retry.h). */

#include "storage-retry.h"

#include <stdint.h>
#include <time.h>

#include "storage-service.h"

#define RETRY_USEC (STORAGE_RETRY_MS * UINT64_C(1000))

static int on_timer(sd_event_source *timer, uint64_t usec, void *userdata) {
        struct storage_retry *again = userdata;

        again->retry(again->userdata);
        return 0;
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *ret_error) {
        struct storage_retry *again = userdata;
        const char *name, *before, *now;

        if (sd_bus_message_read(signal, "sss", &name, &before, &now) > 0 && *now)
                again->retry(again->userdata);
        return 0;
}

int storage_retry_start(struct storage_retry *again, sd_event *event, sd_bus *bus, storage_retry_t retry, void *userdata) {
        int r;

        again->retry = retry;
        again->userdata = userdata;
        r = sd_event_add_time_relative(event, &again->timer, CLOCK_MONOTONIC, RETRY_USEC, 0, on_timer, again);
        if (r >= 0)
                r = sd_event_source_set_enabled(again->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_bus_add_match(bus, &again->owner,
                                     "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                     "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" STORAGE "'",
                                     on_owner, again);
        return r;
}

void storage_retry_stop(struct storage_retry *again) {
        again->timer = sd_event_source_disable_unref(again->timer);
        again->owner = sd_bus_slot_unref(again->owner);
}

void storage_retry_later(struct storage_retry *again) {
        if (!again->timer)
                return;
        sd_event_source_set_time_relative(again->timer, RETRY_USEC);
        sd_event_source_set_enabled(again->timer, SD_EVENT_ONESHOT);
}
