/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "peer.h"

#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "control.h"
#include "guard-policy.h"
#include "log.h"
#include "rendezvous.h"
#include "sandbox.h"
#include "session.h"
#include "table.h"
#include "xcp-types.h"

#define HUB_MSEC 10000                  /* for the hub to answer, before it is taken for dead */
#define PRIORITY_LATER (PRIORITY_HUB - 1)
#define PRIORITY_HUB (SD_EVENT_PRIORITY_NORMAL - 20)    /* who is another domain's is known before the bus tells of it: docs/bridge.md */

struct peer {
        struct session_options options;
        const char *name, *type;        /* the other domain's, for the policy */
        int log_level;
        uid_t user;                     /* who it is to be; 0: who it is */
        sd_event *event;
        struct rendezvous *rendezvous;
        struct session *session;
        struct guard *guard;
        struct table *foreign;
        struct table *moving, *bridged; /* by name: those that move to the other domain; enum session_bridged */
        struct wants *wants;
        struct control_figures *figures;
        const struct control_news *news;
        uint32_t generation;            /* of the wants */
        uint64_t policy;                /* the number of the one that the hub has given last */
        struct later *later, **last_later;
        sd_event_source *later_source;
};

/* What the hub said while something else was asked of it. */
struct later {
        struct control control;
        struct later *next;
};

/* What the hub is told. That it is gone is noticed where it is read from. */
static void tell(enum control_type type, uint32_t value, uint64_t number, const char *first, const char *second) {
        control_send(CONTROL_FD, true, type, value, number, first, second);
}

static int settle(void *userdata);
static int hear(void *userdata);

/* The session */

static void on_up(void *userdata, unsigned version, uint64_t remote_epoch) {
        struct peer *peer = userdata;

        log_event(LOG_INFO, NULL, "The link to domain %u is up", peer->options.domain);
        tell(CONTROL_STATE, XCP_LINK_STATE_UP, version, "", NULL);
}

static void on_listener(void *userdata, const char *unique) {
        tell(CONTROL_LISTENER, 0, 0, unique, NULL);
}

static void on_stalled(void *userdata, bool stalled) {
        struct peer *peer = userdata;

        if (stalled)
                log_event(LOG_WARNING, NULL, "Domain %u does not read from its ring", peer->options.domain);
        tell(CONTROL_STATE, stalled ? XCP_LINK_STATE_STALLED : XCP_LINK_STATE_UP, 1, stalled ? "it does not read from its ring" : "", NULL);
}

static void on_peer(void *userdata, const char *unique, const char *remote_unique, unsigned hops, unsigned figures) {
        tell(CONTROL_PEER, hops, figures, unique, remote_unique);
}

static void on_peer_gone(void *userdata, const char *unique) {
        tell(CONTROL_PEER_GONE, 0, 0, unique, NULL);
}

static void on_name(void *userdata, const char *name, const char *unique) {
        tell(CONTROL_NAME, 0, 0, name, unique);
}

static void on_activatable(void *userdata, const char *name, bool is, unsigned hops) {
        tell(CONTROL_ACTIVATABLE, is ? hops + 1 : 0, 0, name, NULL);
}

static void on_started(void *userdata, uint64_t tag, const char *error, const char *text) {
        tell(CONTROL_STARTED, 0, tag, error, text);
}

static void on_policy_in_force(void *userdata) {
        struct peer *peer = userdata;

        tell(CONTROL_IN_FORCE, 0, peer->policy, NULL, NULL);
}

static void on_ended(void *userdata, const char *reason) {
        struct peer *peer = userdata;

        log_event(LOG_INFO, LOG_FIELDS({ "XCP_REASON", reason }), "The link to domain %u is down: %s", peer->options.domain, reason);
        tell(CONTROL_STATE, XCP_LINK_STATE_CONNECTING, 0, reason, NULL);
        sd_event_exit(peer->event, EXIT_SUCCESS);
}

static const struct session_handlers session_handlers = {
        .up = on_up,
        .listener = on_listener,
        .settle = settle,
        .hear = hear,
        .stalled = on_stalled,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .name = on_name,
        .activatable = on_activatable,
        .started = on_started,
        .policy_in_force = on_policy_in_force,
        .ended = on_ended,
};

static void on_denied(void *userdata, uint32_t direction, const char *what, const char *rule) {
        tell(CONTROL_DENIED, direction, 0, what, rule);
}

static void end(struct peer *peer, const char *reason) {
        if (peer->session)
                session_end(peer->session, reason);     /* leaves the loop */
        else
                sd_event_exit(peer->event, EXIT_SUCCESS);
}

/* The ring */

static void on_met(void *userdata, struct vchan *vchan) {
        struct peer *peer = userdata;
        int r;

        r = sandbox_enter(peer->user);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Domain %u is not joined by a process with more rights than it should have: %s", peer->options.domain,
                          strerrordesc_np(-r));
                vchan_free(vchan);
                sd_event_exit(peer->event, EXIT_FAILURE);
                return;
        }
        r = session_new(&peer->session, &peer->options, vchan, &session_handlers, peer);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot join domain %u to the bus %s: %s", peer->options.domain, peer->options.bus_path,
                          strerrordesc_np(-r));
                sd_event_exit(peer->event, EXIT_FAILURE);
        }
}

static void on_ring(void *userdata) {
        struct peer *peer = userdata;

        if (peer->session)
                session_on_ring(peer->session);
}

static void on_over(void *userdata, int error) {
        struct peer *peer = userdata;

        end(peer, error ? "the store is gone" : "its bridge has begun anew");
}

static const struct rendezvous_handlers rendezvous_handlers = { .met = on_met, .on_event = on_ring, .over = on_over };

/* The hub */

/* Takes the descriptor. */
static int load_policy(struct peer *peer, int fd) {
        struct bridge_policy_error error;
        struct bridge_policy *policy;
        int r;

        r = bridge_policy_read(fd, &policy, &error);
        close(fd);
        return r < 0 ? r : guard_use(peer->guard, policy);
}

static void on_reload(struct peer *peer, const struct control *control) {
        int r = load_policy(peer, control->fd);

        peer->policy = control->number;
        if (r >= 0 && peer->session)
                r = session_policy_changed(peer->session);
        else if (r >= 0)
                on_policy_in_force(peer);
        if (r < 0)                      /* the hub has read it before: what is wrong is not the policy */
                end(peer, "the policy could not be read again");
}

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
                end(peer, "what the hub says cannot be kept in mind");
        if (r != 0)
                return;
        switch (control->type) {
        case CONTROL_PEER_KNOWN:
                if (peer->session)
                        session_peer_known(peer->session, control->first);
                break;
        case CONTROL_START:
                if (!peer->session || session_start_service(peer->session, control->number, control->first) < 0)
                        tell(CONTROL_STARTED, 0, control->number, "org.freedesktop.DBus.Error.Disconnected", "The link is not up");
                break;
        case CONTROL_ACTIVATABLES:
                if (peer->session && session_activatables_changed(peer->session) < 0)
                        end(peer, "the bus cannot be asked what it would start");
                break;
        case CONTROL_RELOAD:
                on_reload(peer, control);
                break;
        default:
                end(peer, control->first);
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

/* The hub answers at once: it waits for nobody. */
static int settle(void *userdata) {
        struct peer *peer = userdata;
        struct pollfd hub = { .fd = CONTROL_FD, .events = POLLIN };
        struct control control = { .type = 0 };
        int r = 0;

        if (is_settled(peer))
                return 0;
        tell(CONTROL_SYNC, 0, 0, NULL, NULL);
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

/* That the hub has gone is noticed where the loop reads. */
static int hear(void *userdata) {
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
                end(peer, "the bridge is stopping");
        }
        return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        end(userdata, "the bridge is stopping");
        return 0;
}

/* A connection for each peer, and two descriptors for each channel where Xen is emulated. */
static void raise_limit(void) {
        struct rlimit files;

        if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
                files.rlim_cur = files.rlim_max;
                setrlimit(RLIMIT_NOFILE, &files);
        }
}

/* The beginning */

static int parse_options(struct peer *peer, int argc, char **argv) {
        static const struct option known[] = {
                { "peer", required_argument, NULL, 'p' },   { "own", required_argument, NULL, 'o' },
                { "uuid", required_argument, NULL, 'u' },   { "own-uuid", required_argument, NULL, 'U' },
                { "name", required_argument, NULL, 'n' },   { "type", required_argument, NULL, 't' },
                { "bus", required_argument, NULL, 'b' },    { "epoch", required_argument, NULL, 'e' },
                { "log-level", required_argument, NULL, 'l' },
                {},
        };
        int option;

        *peer = (struct peer) { .options = { .uuid = "", .own_uuid = "" }, .name = "", .type = "", .log_level = LOG_INFO };
        while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0)
                switch (option) {
                case 'p': peer->options.domain = (unsigned) strtoul(optarg, NULL, 10); break;
                case 'o': peer->options.own_domain = (unsigned) strtoul(optarg, NULL, 10); break;
                case 'u': peer->options.uuid = optarg; break;
                case 'U': peer->options.own_uuid = optarg; break;
                case 'n': peer->name = optarg; break;
                case 't': peer->type = optarg; break;
                case 'b': peer->options.bus_path = optarg; break;
                case 'e': peer->options.epoch = strtoull(optarg, NULL, 10); break;
                case 'l': peer->log_level = atoi(optarg); break;
                default: return -EINVAL;
                }
        return peer->options.bus_path && peer->options.domain != peer->options.own_domain ? 0 : -EINVAL;
}

static int watch(struct peer *peer) {
        sd_event_source *hub = NULL;
        sigset_t set;
        int r;

        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        signal(SIGINT, SIG_IGN);        /* a terminal's: the hub decides */
        signal(SIGPIPE, SIG_IGN);       /* pipes that are carried may have no reader */
        r = sd_event_add_signal(peer->event, NULL, SIGTERM, on_signal, peer);
        if (r >= 0)
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

static int start(struct peer *peer) {
        const struct guard_domain domain = {
                .id = peer->options.domain,
                .uuid = peer->options.uuid,
                .name = peer->name,
                .type = peer->type,
        };
        int r;

        peer->last_later = &peer->later;
        r = control_map(&peer->figures, &peer->news);
        if (r >= 0)
                r = wants_new(&peer->wants);
        if (r >= 0)
                r = table_new(&peer->foreign);
        if (r >= 0)
                r = table_new(&peer->moving);
        if (r >= 0)
                r = table_new(&peer->bridged);
        if (r >= 0)
                r = guard_new(&peer->guard, &domain, on_denied, peer);
        if (r >= 0)
                r = load_policy(peer, CONTROL_POLICY_FD);
        if (r >= 0)
                r = sd_event_new(&peer->event);
        if (r < 0)
                return r;
        peer->options.event = peer->event;
        peer->options.guard = peer->guard;
        peer->options.foreign = peer->foreign;
        peer->options.moving = peer->moving;
        peer->options.bridged = peer->bridged;
        peer->options.wants = peer->wants;
        peer->options.counters = peer->figures->counters;
        peer->options.figures = peer->figures->peers;
        r = watch(peer);
        if (r < 0)
                return r;
        raise_limit();
        peer->user = sandbox_user(peer->options.domain, peer->options.bus_path);
        r = sandbox_begin(peer->user);
        if (r < 0)
                return r;
        return rendezvous_new(&peer->rendezvous, peer->event, peer->options.own_domain, peer->options.domain, &rendezvous_handlers, peer);
}

int peer_main(int argc, char **argv) {
        struct peer peer;
        int r;

        r = parse_options(&peer, argc, argv);
        log_open("xcp-bridge");
        log_set_level(peer.log_level);
        if (r >= 0)
                r = start(&peer);
        if (r >= 0)
                r = sd_event_loop(peer.event);
        if (r < 0)
                log_event(LOG_ERR, NULL, "The process for domain %u cannot go on: %s", peer.options.domain, strerrordesc_np(-r));
        session_free(peer.session);
        rendezvous_free(peer.rendezvous);
        guard_free(peer.guard);
        table_free(peer.foreign);
        table_free(peer.moving);
        table_free(peer.bridged);
        wants_free(peer.wants);
        sd_event_source_disable_unref(peer.later_source);
        for (struct later *later; (later = peer.later);) {
                peer.later = later->next;
                free(later);
        }
        sd_event_unref(peer.event);
        return r < 0 ? EXIT_FAILURE : r;
}
