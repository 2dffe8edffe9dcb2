/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "nearby.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "neighbours.h"

#define LOOK_USEC (3 * UINT64_C(1000000))

struct nearby {
        sd_event_source *timer;
        struct nearby_listener *listeners;
        uint64_t sum;                   /* of all that was there */
};

struct nearby_listener {
        struct nearby *nearby;
        nearby_on_change_t on_change;
        void *userdata;
        struct nearby_listener *next;
};

/* In any order (FNV-1a of each). */
static void on_one(void *userdata, const char *mac, const char *address) {
        const char *parts[] = { mac, address };
        uint64_t hash = UINT64_C(0xcbf29ce484222325), *sum = userdata;

        for (size_t i = 0; i < 2; i++)
                for (const char *p = parts[i]; *p; p++)
                        hash = (hash ^ (uint8_t) *p) * UINT64_C(0x100000001b3);
        *sum += hash;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        struct nearby *nearby = userdata;
        uint64_t sum = 0;

        if (neighbours_read(on_one, &sum) >= 0 && sum != nearby->sum) {
                nearby->sum = sum;
                for (struct nearby_listener *listener = nearby->listeners, *next; listener; listener = next) {
                        next = listener->next;
                        listener->on_change(listener->userdata);
                }
        }
        if (!nearby->listeners)
                return 0;
        (void) sd_event_source_set_time_relative(source, LOOK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int nearby_new(struct nearby **ret_nearby, sd_event *event) {
        struct nearby *nearby = calloc(1, sizeof *nearby);
        int r;

        if (!nearby)
                return -ENOMEM;
        r = sd_event_add_time_relative(event, &nearby->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_time, nearby);
        if (r >= 0)
                r = sd_event_source_set_enabled(nearby->timer, SD_EVENT_OFF);
        if (r < 0) {
                nearby_free(nearby);
                return r;
        }
        *ret_nearby = nearby;
        return 0;
}

struct nearby *nearby_free(struct nearby *nearby) {
        if (!nearby)
                return NULL;
        sd_event_source_disable_unref(nearby->timer);
        free(nearby);
        return NULL;
}

int nearby_listener_new(struct nearby_listener **ret_listener, struct nearby *nearby, nearby_on_change_t on_change, void *userdata) {
        struct nearby_listener *listener = calloc(1, sizeof *listener);
        int r = 0;

        if (!listener)
                return -ENOMEM;
        *listener = (struct nearby_listener) { nearby, on_change, userdata, nearby->listeners };
        if (!nearby->listeners) {
                (void) sd_event_source_set_time_relative(nearby->timer, LOOK_USEC);
                r = sd_event_source_set_enabled(nearby->timer, SD_EVENT_ONESHOT);
        }
        if (r < 0) {
                free(listener);
                return r;
        }
        nearby->listeners = listener;
        *ret_listener = listener;
        return 0;
}

struct nearby_listener *nearby_listener_free(struct nearby_listener *listener) {
        if (!listener)
                return NULL;
        for (struct nearby_listener **p = &listener->nearby->listeners; *p; p = &(*p)->next)
                if (*p == listener) {
                        *p = listener->next;
                        break;
                }
        free(listener);
        return NULL;
}
