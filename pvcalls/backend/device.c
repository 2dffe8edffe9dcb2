/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "log.h"
#include "store.h"

#define REASON_SIZE 160u
#define STEPS_MAX 8u                    /* without a look at the rest: a frontend can change its state as fast as we can look */

struct device {
        sd_event *event;
        sd_event_source *watches, *again;
        struct store store;
        struct xen xen;
        struct guest *guest;
        struct guest_terms *terms;
        const struct device_listener *listener;
        void *userdata;
        struct handshake_view view;
        char reason[REASON_SIZE];
        char domid[12];                 /* for the log */
};

struct guest *device_guest(struct device *device) {
        return device->guest;
}

const char *device_reason(const struct device *device) {
        return device->reason;
}

const char *device_state(const struct device *device) {
        if (device->view.failed)
                return "Failed";
        switch (device->view.own) {
        case XENBUS_CONNECTED: return "Connected";
        case XENBUS_CLOSED: return device->view.online ? "Waiting" : "Closing";        /* its frontend has gone in good order, and may come again */
        case XENBUS_CLOSING: return "Closing";
        default: return "Waiting";
        }
}

static int set_state(struct device *device, enum xenbus_state state) {
        int r = store_set_state(&device->store, state);

        if (r < 0 && r != -ENOENT)
                log_event(LOG_ERR, LOG_FIELDS({ "XCP_DOMAIN", device->domid }), "Cannot write the device's state %s: %s",
                          xenbus_state_name(state), strerrordesc_np(-r));
        if (r < 0)
                return r;
        device->view.own = state;
        device->listener->state(device_state(device), device->reason, device->userdata);
        return 0;
}

/* The frontend cannot be served: it is told so by the state, and people by log and store. */
static void fail(struct device *device, const char *what, const char *detail) {
        device->view.failed = true;
        snprintf(device->reason, sizeof device->reason, "%s: %s", what, detail);
        log_event(LOG_WARNING, LOG_FIELDS({ "XCP_DOMAIN", device->domid }), "The PV Calls device of domain %s has failed: %s",
                  device->domid, device->reason);
        store_set_error(&device->store, device->reason);
}

static void on_violated(const char *reason, void *userdata) {
        struct device *device = userdata;

        fail(device, "the frontend has broken the protocol", reason);
        sd_event_source_set_enabled(device->again, SD_EVENT_ONESHOT);
}

static void on_denied(enum policy_call call, const struct pvcalls_name *address, const struct policy_verdict *verdict, void *userdata) {
        struct device *device = userdata;

        device->listener->denied(call, address, verdict, device->userdata);
}

static const struct guest_listener guest_listener = { .violated = on_violated, .denied = on_denied };

/* A failure is not an error of ours: the next step closes. */
static int connect_guest(struct device *device) {
        struct guest_offer offer;
        const char *reason;
        int r;

        if (store_read_offer(&device->store, &offer, &reason) < 0) {
                fail(device, "the frontend offers what cannot be", reason);
                return 0;
        }
        r = guest_new(&device->guest, device->event, &device->xen, device->terms, &offer, &guest_listener, device);
        if (r < 0) {
                fail(device, r == -EINVAL ? "the frontend has not granted its ring and port" : "cannot connect to the frontend",
                     strerrordesc_np(-r));
                return 0;
        }
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", device->domid }), "Connected to domain %s%s", device->domid,
                  offer.suppress ? ", which suppresses notifications" : "");
        return set_state(device, XENBUS_CONNECTED);
}

static void let_go(struct device *device) {
        if (device->guest)
                log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", device->domid }), "Let go of domain %s, which had %u sockets", device->domid,
                          guest_n_sockets(device->guest));
        device->guest = guest_free(device->guest);
}

static int take_step(struct device *device, enum handshake_step step) {
        int r;

        switch (step) {
        case HANDSHAKE_PUBLISH:
                let_go(device);
                device->view.failed = false;
                device->reason[0] = '\0';
                r = store_publish(&device->store, device->terms->limits.max_page_order);
                return r < 0 ? r : set_state(device, XENBUS_INIT_WAIT);
        case HANDSHAKE_CONNECT:
                return connect_guest(device);
        case HANDSHAKE_CLOSE:
                let_go(device);
                return set_state(device, XENBUS_CLOSING);
        case HANDSHAKE_CLOSED:
                let_go(device);
                return set_state(device, XENBUS_CLOSED);
        default:
                return 0;
        }
}

/* It goes with its device. */
static int leave(struct device *device) {
        log_event(LOG_INFO, LOG_FIELDS({ "XCP_DOMAIN", device->domid }), "The PV Calls device of domain %s is gone", device->domid);
        return sd_event_exit(device->event, 0);
}

/* Steps until there is nothing to do. Returns 0 or a negative errno: the store does not take what we write. */
static int settle(struct device *device) {
        for (unsigned i = 0; i < STEPS_MAX; i++) {
                enum handshake_step step;
                int r;

                store_look(&device->store, &device->view);
                step = handshake_next(&device->view);
                if (step == HANDSHAKE_REST)
                        return 0;
                if (step == HANDSHAKE_LEAVE) {
                        let_go(device);
                        return leave(device);
                }
                r = take_step(device, step);
                if (r < 0 && r != -ENOENT && device->view.frontend_exists)
                        return r;
                if (r < 0)              /* the toolstack has taken our directory away as well */
                        return leave(device);
        }
        return sd_event_source_set_enabled(device->again, SD_EVENT_ONESHOT);
}

static int on_watches(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct device *device = userdata;
        int r;

        store_drain(&device->store);
        r = settle(device);
        return r < 0 ? sd_event_exit(device->event, r) : 0;
}

static int on_again(sd_event_source *source, void *userdata) {
        struct device *device = userdata;
        int r = settle(device);

        return r < 0 ? sd_event_exit(device->event, r) : 0;
}

int device_start(struct device *device) {
        /* A backend before this one has left the frontend connected to nothing: it is told, and may begin anew. */
        if (device->view.own == XENBUS_CONNECTED) {
                int r = set_state(device, XENBUS_CLOSING);

                if (r < 0)
                        return r;
        }
        return settle(device);
}

int device_new(struct device **ret_device, sd_event *event, uint32_t domid, uint32_t number, struct guest_terms *terms,
               const struct device_listener *listener, void *userdata) {
        __attribute__((cleanup(device_freep))) struct device *device = calloc(1, sizeof *device);
        int r;

        if (!device)
                return -ENOMEM;
        device->event = sd_event_ref(event);
        device->terms = terms;
        device->listener = listener;
        device->userdata = userdata;
        snprintf(device->domid, sizeof device->domid, "%u", domid);
        r = store_open(&device->store, domid, number);
        if (r == 0)
                r = xen_open(&device->xen, domid);
        if (r < 0)
                return r;
        device->view.own = store_own_state(&device->store);
        r = sd_event_add_io(event, &device->watches, store_fd(&device->store), EPOLLIN, on_watches, device);
        if (r >= 0)
                r = sd_event_add_defer(event, &device->again, on_again, device);
        if (r >= 0)
                r = sd_event_source_set_enabled(device->again, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret_device = device;
        device = NULL;
        return 0;
}

void device_leave(struct device *device) {
        let_go(device);
        if (device->view.own != XENBUS_CLOSED)
                (void) set_state(device, XENBUS_CLOSING);
}

struct device *device_free(struct device *device) {
        if (!device)
                return NULL;
        guest_free(device->guest);
        sd_event_source_disable_unref(device->watches);
        sd_event_source_disable_unref(device->again);
        store_close(&device->store);
        xen_close(&device->xen);
        sd_event_unref(device->event);
        free(device);
        return NULL;
}
