/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The process for one other domain and its hub: what each tells the other. What is not only to be known waits while a session settles. */

#include "peer-private.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "guard-policy.h"

#define HUB_MSEC 10000                  /* for the hub to answer, before it is taken for dead */
#define PRIORITY_LATER (PRIORITY_HUB - 1)
#define PRIORITY_HUB (SD_EVENT_PRIORITY_NORMAL - 20)    /* who is another domain's is known before the bus tells of it: docs/bridge.md */

/* What the hub said while something else was asked of it. */
struct later {
        struct control control;
        struct later *next;
};

void peer_tell(enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second) {
        control_send(CONTROL_FD, true, type, value, number, first, second);
}

/* The policy */

int peer_hub_load_policy(struct peer *peer, int fd) {
        struct bridge_policy_error error;
        struct bridge_policy *policy;
        int r;

        r = bridge_policy_read(fd, &policy, &error);
        close(fd);
        return r < 0 ? r : guard_use(peer->guard, policy);
}

void peer_hub_in_force(struct peer *peer) {
        peer_tell(CONTROL_IN_FORCE, 0, peer->policy, NULL, NULL);
}

static void on_reload(struct peer *peer, const struct control *control) {
        int r = peer_hub_load_policy(peer, control->fd);

        peer->policy = control->number;
        if (r >= 0 && peer->session)
                r = session_policy_changed(peer->session);
        else if (r >= 0)
                peer_hub_in_force(peer);
        if (r < 0)                      /* the hub has read it before: what is wrong is not the policy */
                peer_end(peer, "the policy could not be read again");
}

/* What it says */

static int on_wanted(struct peer *peer, const char *rule, bool wanted) {
        const struct match *match;
        struct match *taken = NULL;
        int r;

        if (wanted)
                r = wants_add(peer->wants, rule, &match);
        else {
                match = taken = wants_take(peer->wants, rule);
                r = match ? 0 : -ENOENT;
        }
        if (r >= 0 && peer->session)
                r = session_wants(peer->session, match, wanted);
        match_free(taken);
        return r == -EEXIST || r == -ENOENT ? 0 : r;
}

static int keep(struct table *table, const char *key, uintptr_t value) {
        table_remove_string(table, key);
        return value ? table_add_string(table, key, (void *) value) : 0;
}

/* What only has to be known. Returns 1 if it was that, 0 if it is something else, or a negative errno. */
static int on_news(struct peer *peer, const struct control *control) {
        int r = 0;

        switch (control->type) {
        case CONTROL_FOREIGN:
        case CONTROL_FOREIGN_GONE:
                r = keep(peer->foreign, control->first, control->type == CONTROL_FOREIGN ? control->value + 1 : 0);
                break;
        case CONTROL_BRIDGED:
                r = keep(peer->bridged, control->first, control->value);
                break;
        case CONTROL_WANT:
        case CONTROL_UNWANT:
                r = on_wanted(peer, control->first, control->type == CONTROL_WANT);
                break;
        case CONTROL_SYNCED:
                peer->generation = (uint32_t) control->number;
                break;
        case CONTROL_MOVES:
                r = keep(peer->moving, control->first, control->value);
                break;
        default:
                return 0;
        }
        return r < 0 ? r : 1;
}

static void on_control(struct peer *peer, const struct control *control) {
        int r = on_news(peer, control);

        if (r < 0)
                peer_end(peer, "what the hub says cannot be kept in mind");
        if (r != 0)
                return;
        switch (control->type) {
        case CONTROL_PEER_KNOWN:
                if (peer->session)
                        session_peer_known(peer->session, control->first);
                break;
        case CONTROL_START:
                if (!peer->session || session_start_service(peer->session, control->number, control->first) < 0)
                        peer_tell(CONTROL_STARTED, 0, control->number, "org.freedesktop.DBus.Error.Disconnected", "The link is not up");
                break;
        case CONTROL_ACTIVATABLES:
                if (peer->session && session_activatables_changed(peer->session) < 0)
                        peer_end(peer, "the bus cannot be asked what it would start");
                break;
        case CONTROL_RELOAD:
                on_reload(peer, control);
                break;
        default:
                peer_end(peer, control->first);
        }
}

/* While a session settles, nothing is done that could end it. */

static int on_later(sd_event_source *source, void *userdata) {
        struct peer *peer = userdata;
        struct later *later;

        while ((later = peer->later)) {
                peer->later = later->next;
                on_control(peer, &later->control);
                free(later);
        }
        peer->last_later = &peer->later;
        return 0;
}

static int put_off(struct peer *peer, const struct control *control) {
        struct later *later = malloc(sizeof *later);

        if (!later)
                return -ENOMEM;
        *later = (struct later) { .control = *control };
        *peer->last_later = later;
        peer->last_later = &later->next;
        return sd_event_source_set_enabled(peer->later_source, SD_EVENT_ONESHOT);
}

static bool is_settled(const struct peer *peer) {
        struct pollfd watch = { .fd = CONTROL_WATCH_FD, .events = POLLIN };

        return poll(&watch, 1, 0) == 0 && !__atomic_load_n(&peer->news->busy, __ATOMIC_ACQUIRE) &&
               __atomic_load_n(&peer->news->generation, __ATOMIC_ACQUIRE) == peer->generation;
}

/* It answers at once: it waits for nobody. */
int peer_hub_settle(void *userdata) {
        struct peer *peer = userdata;
        struct pollfd hub = { .fd = CONTROL_FD, .events = POLLIN };
        struct control control = { .type = 0 };
        int r = 0;

        if (is_settled(peer))
                return 0;
        peer_tell(CONTROL_SYNC, 0, 0, NULL, NULL);
        while (control.type != CONTROL_SYNCED) {
                if (poll(&hub, 1, HUB_MSEC) <= 0)
                        return -ETIMEDOUT;
                r = control_receive_fd(CONTROL_FD, &control);
                if (r == 0)
                        continue;
                if (r > 0)
                        r = on_news(peer, &control) ?: put_off(peer, &control);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* That it has gone is noticed where the loop reads. */
int peer_hub_hear(void *userdata) {
        struct peer *peer = userdata;
        struct control control;
        int r;

        while ((r = control_receive_fd(CONTROL_FD, &control)) > 0) {
                r = on_news(peer, &control) ?: put_off(peer, &control);
                if (r < 0)
                        return r;
        }
        return r == -EPIPE ? 0 : r;
}

static int on_hub(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct peer *peer = userdata;
        struct control control;
        int r;

        while ((r = control_receive_fd(fd, &control)) > 0)
                on_control(peer, &control);
        if (r < 0) {
                sd_event_source_set_enabled(source, SD_EVENT_OFF);
                peer_end(peer, "the bridge is stopping");
        }
        return 0;
}

int peer_hub_watch(struct peer *peer) {
        sd_event_source *hub = NULL;
        int r;

        peer->last_later = &peer->later;
        r = sd_event_add_io(peer->event, &hub, CONTROL_FD, EPOLLIN, on_hub, peer);
        if (r >= 0)
                r = sd_event_source_set_priority(hub, PRIORITY_HUB);
        if (r >= 0)
                r = sd_event_source_set_floating(hub, true);
        sd_event_source_unref(hub);
        if (r >= 0)
                r = sd_event_add_defer(peer->event, &peer->later_source, on_later, peer);
        if (r >= 0)
                r = sd_event_source_set_enabled(peer->later_source, SD_EVENT_OFF);
        return r < 0 ? r : sd_event_source_set_priority(peer->later_source, PRIORITY_LATER);
}

void peer_hub_unwatch(struct peer *peer) {
        struct later *later;

        sd_event_source_disable_unref(peer->later_source);
        while ((later = peer->later)) {
                peer->later = later->next;
                free(later);
        }
}
