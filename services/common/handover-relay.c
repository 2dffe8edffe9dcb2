/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Calls that come to the old owner and are the new one's: those that the bus had given it when the name changed hands, and what is sent to its unique
 * name by clients that have not noticed yet.
 *
 * Each goes on as a call from here, with OnBehalfOf() before it, in the order in which they came; its answer is given by the one who was called, as a
 * bus expects it. What is passed on was never looked at here, so that it is executed once, there.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "handover-private.h"
#include "log.h"
#include "service-private.h"

#define RELAY_MAX 4096u                 /* calls without an answer: below what a bus lets one connection have; then no more are read for a while */

struct passed {
        struct relay *relay;
        struct passed *next, **link;
        sd_bus_message *call;
        sd_bus_slot *slot;
};

struct relay {
        struct handover *handover;
        handover_then_t drained, idle;
        struct passed *first;
        size_t n_waiting;
        uint64_t n;
        bool is_drained, is_held;
        uint64_t last_usec;
        sd_event_source *timer;
};

static void passed_free(struct passed *passed) {
        if (passed->next)
                passed->next->link = passed->link;
        *passed->link = passed->next;
        passed->relay->n_waiting--;
        sd_bus_slot_unref(passed->slot);
        sd_bus_message_unref(passed->call);
        free(passed);
}

/* Answers */

static int answer(sd_bus_message *call, sd_bus_message *reply) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *message = NULL;
        int r;

        if (sd_bus_message_is_method_error(reply, NULL))
                return sd_bus_reply_method_error(call, sd_bus_message_get_error(reply));
        r = sd_bus_message_new_method_return(call, &message);
        if (r >= 0)
                r = sd_bus_message_copy(message, reply, true);
        return r < 0 ? r : sd_bus_message_send(message);
}

static void answer_errno(sd_bus_message *call, int r) {
        if (sd_bus_message_get_expect_reply(call) > 0)
                sd_bus_reply_method_errnof(call, r, "The service has moved, and the call could not be passed on: %s", strerrordesc_np(-r));
}

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct passed *passed = userdata;
        struct relay *relay = passed->relay;
        int r;

        r = answer(passed->call, reply);
        if (r < 0)
                answer_errno(passed->call, r);
        passed_free(passed);
        if (relay->is_held && relay->n_waiting < RELAY_MAX / 2) {
                relay->is_held = false;
                service_listen(relay->handover->service);
        }
        return 0;
}

/* Calls */

static int pass_on(struct relay *relay, sd_bus_message *message) {
        AUTO(sd_bus_message_unrefp) sd_bus_message *call = NULL;
        struct handover *handover = relay->handover;
        struct passed *passed;
        int r;

        r = sd_bus_message_new_method_call(handover->control, &call, handover->successor, sd_bus_message_get_path(message),
                                           sd_bus_message_get_interface(message), sd_bus_message_get_member(message));
        if (r >= 0)
                r = sd_bus_message_copy(call, message, true);
        if (r >= 0)
                r = sd_bus_message_set_auto_start(call, 0);
        if (r >= 0)
                r = sd_bus_call_method_async(handover->control, NULL, handover->successor, handover->service->path, HANDOVER1_INTERFACE,
                                             "OnBehalfOf", NULL, NULL, "s", sd_bus_message_get_sender(message) ?: "");
        if (r < 0)
                return r;
        if (sd_bus_message_get_expect_reply(message) <= 0) {
                r = sd_bus_message_set_expect_reply(call, 0);
                return r < 0 ? r : sd_bus_send(handover->control, call, NULL);
        }
        passed = malloc(sizeof *passed);
        if (!passed)
                return -ENOMEM;
        *passed = (struct passed) { .relay = relay, .next = relay->first, .link = &relay->first, .call = sd_bus_message_ref(message) };
        if (relay->first)
                relay->first->link = &passed->next;
        relay->first = passed;
        relay->n_waiting++;
        r = sd_bus_call_async(handover->control, &passed->slot, call, on_reply, passed, UINT64_MAX);     /* how long is its caller's business */
        if (r < 0)
                passed_free(passed);
        return r;
}

static int on_call(struct relay *relay, sd_bus_message *message) {
        int r;

        if (sd_bus_message_is_method_call(message, HANDOVER1_INTERFACE, NULL))
                return 0;
        relay->n++;
        relay->last_usec = handover_now();
        r = pass_on(relay, message);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "A call of %s could not be passed on: %s", sd_bus_message_get_sender(message), strerrordesc_np(-r));
                answer_errno(message, r);
        }
        if (relay->n_waiting >= RELAY_MAX && !relay->is_held) {
                relay->is_held = true;
                service_hold(relay->handover->service);
        }
        return 1;
}

/* The bus says it to the old owner in the place that it has among the calls: after all that were routed here. */
static bool is_name_lost(struct relay *relay, sd_bus_message *message) {
        const char *name;

        return sd_bus_message_is_signal(message, "org.freedesktop.DBus", "NameLost") && sd_bus_message_read(message, "s", &name) >= 0 &&
               strcmp(name, relay->handover->service->bus_name) == 0;
}

static void become_drained(struct relay *relay) {
        if (relay->is_drained)
                return;
        relay->is_drained = true;
        relay->drained(relay->handover);
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        struct relay *relay = userdata;

        if (sd_bus_message_is_method_call(message, NULL, NULL))
                return on_call(relay, message);
        if (is_name_lost(relay, message))
                become_drained(relay);
        return 0;
}

/* Looks once in a while: whoever holds on to the unique name of a service has some seconds to notice that it has moved. */
static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct relay *relay = userdata;

        become_drained(relay);          /* it should have been said long ago */
        if (relay->n_waiting == 0 && handover_now() - relay->last_usec >= HANDOVER_LINGER_USEC) {
                relay->idle(relay->handover);
                return 0;
        }
        sd_event_source_set_time_relative(source, HANDOVER_LINGER_USEC / 5);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int relay_new(struct relay **ret_relay, struct handover *handover, handover_then_t drained, handover_then_t idle) {
        struct relay *relay;
        int r;

        relay = calloc(1, sizeof *relay);
        if (!relay)
                return -ENOMEM;
        *relay = (struct relay) { .handover = handover, .drained = drained, .idle = idle, .last_usec = handover_now() };
        *ret_relay = relay;             /* freed with the handover, whatever comes */
        r = sd_event_add_time_relative(handover->service->event, &relay->timer, CLOCK_MONOTONIC, HANDOVER_LINGER_USEC / 5, 0, on_timer, relay);
        return r < 0 ? r : sd_bus_add_filter(handover->service->bus, NULL, on_message, relay);
}

struct relay *relay_free(struct relay *relay) {
        if (!relay)
                return NULL;
        while (relay->first)
                passed_free(relay->first);
        sd_event_source_disable_unref(relay->timer);
        free(relay);
        return NULL;
}

uint64_t relay_count(const struct relay *relay) {
        return relay->n;
}
