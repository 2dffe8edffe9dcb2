/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "watch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "action.h"
#include "forward.h"
#include "leases.h"
#include "neighbours.h"
#include "user-network.h"

struct watch {
        struct qemu_guest *guest;
        sd_event_source *timer;
        struct agent *agent;
        uint64_t request;               /* of the monitor; 0: none */
        struct addresses of_user_network, all;
};

struct watch *watch_free(struct watch *watch) {
        if (!watch)
                return NULL;
        if (watch->request > 0 && watch->guest->qmp)
                qmp_forget(watch->guest->qmp, watch->request);
        agent_free(watch->agent);
        sd_event_source_disable_unref(watch->timer);
        free(watch);
        return NULL;
}

const struct addresses *watch_addresses(const struct watch *watch) {
        return &watch->all;
}

/* What neighbours are asked for, and what came of it. */
struct looking {
        const struct facts *facts;
        struct addresses *addresses;
};

static void on_neighbour(void *userdata, const char *mac, const char *address) {
        const struct looking *looking = userdata;

        if (facts_has_mac(looking->facts, mac))
                addresses_add(looking->addresses, address, mac, XCP_ADDRESS_SOURCE_NEIGHBOUR);
}

/* Whoever knows best comes first. */
static void put_together(struct watch *watch) {
        struct addresses all = {};
        struct looking looking = { &watch->guest->facts, &all };

        if (watch->agent)
                addresses_add_all(&all, agent_addresses(watch->agent));
        addresses_add_all(&all, &watch->of_user_network);
        (void) leases_read(&watch->guest->facts, &all); /* without them, fewer are known */
        (void) neighbours_read(on_neighbour, &looking);
        if (addresses_equal(&all, &watch->all))
                return;
        watch->all = all;
        guest_tell(watch->guest, HYPERVISOR_CHANGED, "");
}

static bool has_mac(const struct addresses *addresses, const char *mac) {
        for (size_t i = 0; i < addresses->n; i++)
                if (strcmp(addresses->list[i].mac, mac) == 0)
                        return true;
        return false;
}

/* Connections come and go. What an interface has talked from stays its address until it talks from another, or boots anew. */
static void keep_silent(struct addresses *addresses, const struct addresses *before) {
        const struct addresses heard = *addresses;

        for (size_t i = 0; i < before->n; i++)
                if (!has_mac(&heard, before->list[i].mac))
                        addresses_add(addresses, before->list[i].text, before->list[i].mac, before->list[i].source);
}

static void on_user_network(void *userdata, int r, struct json_object *value, const char *why) {
        struct watch *watch = userdata;

        struct addresses heard = {};

        watch->request = 0;
        if (r >= 0 && json_object_is_type(value, json_type_string)) {
                user_network_read(json_object_get_string(value), &watch->guest->facts, &heard);
                forward_sweep(watch->guest, json_object_get_string(value));
        }
        keep_silent(&heard, &watch->of_user_network);
        watch->of_user_network = heard;
        put_together(watch);
}

static void on_agent_changed(void *userdata) {
        put_together(userdata);
}

/* One that could not be understood any more is tried again. */
static void keep_agent(struct watch *watch) {
        int fd;

        if (watch->agent && agent_is_over(watch->agent))
                watch->agent = agent_free(watch->agent);
        if (watch->agent || !watch->guest->is_agent_open || guest_connect(watch->guest, GUEST_AGENT, &fd) < 0)
                return;
        (void) agent_new(&watch->agent, watch->guest->qemu->host.event, fd, &watch->guest->facts, on_agent_changed, watch);
}

static void look(struct watch *watch) {
        struct qemu_guest *guest = watch->guest;

        if (guest->facts.phase != FACTS_STARTED || guest->facts.n_networks == 0)
                return;
        keep_agent(watch);
        if (watch->request > 0)         /* QEMU has not answered the last time */
                return;
        if (!guest->qmp || qmp_execute(guest->qmp, "human-monitor-command", arguments_1("command-line", "info usernet"), -1, on_user_network,
                                       watch, &watch->request) < 0)
                put_together(watch);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        struct watch *watch = userdata;

        sd_event_source_set_time_relative(watch->timer, WATCH_MS * UINT64_C(1000));
        sd_event_source_set_enabled(watch->timer, SD_EVENT_ONESHOT);
        guest_trim_log(watch->guest);
        look(watch);
        return 0;
}

void watch_set_agent(struct watch *watch, bool is_open) {
        if (is_open)
                keep_agent(watch);
        else {
                watch->agent = agent_free(watch->agent);
                put_together(watch);
        }
}

void watch_forget(struct watch *watch) {
        watch->of_user_network = (struct addresses) {};
        put_together(watch);
}

int watch_new(struct watch **ret_watch, struct qemu_guest *guest) {
        struct watch *watch = malloc(sizeof *watch);
        int r;

        if (!watch)
                return -ENOMEM;
        *watch = (struct watch) { .guest = guest };
        r = sd_event_add_time_relative(guest->qemu->host.event, &watch->timer, CLOCK_MONOTONIC, WATCH_MS * UINT64_C(1000), WATCH_MS * 100,
                                       on_timer, watch);
        if (r < 0) {
                free(watch);
                return r;
        }
        *ret_watch = watch;
        return 0;
}
