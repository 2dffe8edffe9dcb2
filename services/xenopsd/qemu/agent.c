/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "agent.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <json-c/json.h>

#include "qmp-message.h"

#define PATIENCE 30u                    /* times that it is time for the next question until it is taken that the last one was lost */
#define READS_MAX 16u                   /* before others have their turn */
#define UNASKED_MAX 16u                 /* answers to nothing between two questions: some may be to an earlier manager's */

struct agent {
        sd_event_source *source, *timer;
        int fd;
        struct qmp_reader *reader;
        const struct facts *facts;
        struct addresses addresses;
        uint64_t id;                    /* of the last question */
        unsigned n_waited;              /* how often it was time for the next question since that */
        unsigned n_unasked;             /* answers that were none to it */
        bool is_open;                   /* it has not been answered */
        agent_changed_t changed;
        void *userdata;
};

struct agent *agent_free(struct agent *agent) {
        if (!agent)
                return NULL;
        sd_event_source_disable_unref(agent->source);
        sd_event_source_disable_unref(agent->timer);
        qmp_reader_free(agent->reader);
        close(agent->fd);
        free(agent);
        return NULL;
}

const struct addresses *agent_addresses(const struct agent *agent) {
        return &agent->addresses;
}

bool agent_is_over(const struct agent *agent) {
        return !agent->source;
}

/* Interfaces */

static const char *string_of(struct json_object *object, const char *name) {
        struct json_object *value;

        return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, name, &value) &&
               json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static size_t length_of(struct json_object *array) {
        return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static void read_interface(struct json_object *interface, const struct facts *facts, struct addresses *addresses) {
        const char *untrusted_mac = string_of(interface, "hardware-address");
        struct json_object *list = NULL;
        char mac[FACTS_MAC_SIZE];
        size_t n = strlen(untrusted_mac);

        if (n >= sizeof mac)
                return;
        for (size_t i = 0; i <= n; i++)
                mac[i] = (char) tolower((unsigned char) untrusted_mac[i]);
        if (!facts_has_mac(facts, mac) || !json_object_object_get_ex(interface, "ip-addresses", &list))
                return;
        for (size_t i = 0; i < length_of(list); i++)
                addresses_add(addresses, string_of(json_object_array_get_idx(list, i), "ip-address"), mac, XCP_ADDRESS_SOURCE_AGENT);
}

void agent_read_interfaces(struct json_object *untrusted, const struct facts *facts, struct addresses *addresses) {
        for (size_t i = 0; i < length_of(untrusted); i++)
                read_interface(json_object_array_get_idx(untrusted, i), facts, addresses);
}

/* Asking */

static void arm(struct agent *agent) {
        sd_event_source_set_time_relative(agent->timer, (agent->addresses.n > 0 ? AGENT_ASK_AGAIN_MS : AGENT_ASK_MS) * UINT64_C(1000));
        sd_event_source_set_enabled(agent->timer, SD_EVENT_ONESHOT);
}

/* A guest that is slow to answer is not asked more and more; one that does not read fills its channel, and then it is asked next time. */
static void ask(struct agent *agent) {
        char text[128];
        int n;

        arm(agent);
        if (agent->is_open && ++agent->n_waited < PATIENCE)
                return;
        agent->is_open = true;
        agent->n_waited = agent->n_unasked = 0;
        n = snprintf(text, sizeof text, "{\"execute\":\"guest-network-get-interfaces\",\"id\":%" PRIu64 "}\n", ++agent->id);
        (void) send(agent->fd, text, (size_t) n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        ask(userdata);
        return 0;
}

/* Hearing */

/* One answer to each question: what is said of the addresses goes on to the bus, and is not to do so as fast as a guest can talk. */
static int take(struct agent *agent, const struct qmp_message *message) {
        struct addresses addresses = {};

        if (!agent->is_open || message->id != agent->id)
                return ++agent->n_unasked > UNASKED_MAX ? -EBADMSG : 0;
        agent->is_open = false;
        if (message->kind != QMP_RETURN)
                return 0;
        agent_read_interfaces(message->value, agent->facts, &addresses);
        if (addresses_equal(&addresses, &agent->addresses))
                return 0;
        agent->addresses = addresses;
        agent->changed(agent->userdata);
        return 0;
}

/* It cannot be heard any more; what it said last holds until its channel is closed. */
static void give_up(struct agent *agent) {
        agent->source = sd_event_source_disable_unref(agent->source);
        agent->timer = sd_event_source_disable_unref(agent->timer);
}

static int take_all(struct agent *agent) {
        for (;;) {
                struct qmp_message message;
                int r = qmp_reader_next(agent->reader, &message);

                if (r == QMP_MORE)
                        return 0;
                if (r != 0)
                        return -EBADMSG;
                r = take(agent, &message);
                json_object_put(message.root);
                if (r < 0)
                        return r;
        }
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct agent *agent = userdata;

        for (unsigned i = 0; i < READS_MAX; i++) {
                char *data;
                size_t size;
                ssize_t n;

                if (qmp_reader_buffer(agent->reader, &data, &size) < 0)
                        break;
                n = recv(fd, data, size, MSG_DONTWAIT);
                if (n < 0 && (errno == EAGAIN || errno == EINTR))
                        return 0;
                if (n <= 0)
                        break;
                qmp_reader_commit(agent->reader, (size_t) n);
                if (take_all(agent) < 0)
                        break;
        }
        give_up(agent);
        return 0;
}

int agent_new(struct agent **ret_agent, sd_event *event, int fd, const struct facts *facts, agent_changed_t changed, void *userdata) {
        struct agent *agent = malloc(sizeof *agent);
        struct timespec now;
        int r;

        if (!agent) {
                close(fd);
                return -ENOMEM;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);   /* an answer to a question of an earlier manager is not taken for one to ours */
        *agent = (struct agent) { .fd = fd, .facts = facts, .changed = changed, .userdata = userdata,
                                  .id = (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000 };
        r = qmp_reader_new(&agent->reader);
        if (r >= 0)
                r = sd_event_add_io(event, &agent->source, fd, EPOLLIN, on_io, agent);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &agent->timer, CLOCK_MONOTONIC, 0, 1, on_timer, agent);
        if (r < 0) {
                agent_free(agent);
                return r;
        }
        *ret_agent = agent;
        return 0;
}
