/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "peer.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <systemd/sd-event.h>

#include "guard-policy.h"
#include "log.h"
#include "peer-private.h"
#include "rendezvous.h"
#include "sandbox.h"
#include "xcp-types.h"

/* The session */

static void on_up(void *userdata, unsigned version, uint64_t remote_epoch) {
        struct peer *peer = userdata;

        log_event(LOG_INFO, NULL, "The link to domain %u is up", peer->options.domain);
        peer_tell(CONTROL_STATE, XCP_LINK_STATE_UP, version, "", NULL);
}

static void on_listener(void *userdata, const char *unique) {
        peer_tell(CONTROL_LISTENER, 0, 0, unique, NULL);
}

static void on_stalled(void *userdata, bool stalled) {
        struct peer *peer = userdata;

        if (stalled)
                log_event(LOG_WARNING, NULL, "Domain %u does not read from its ring", peer->options.domain);
        peer_tell(CONTROL_STATE, stalled ? XCP_LINK_STATE_STALLED : XCP_LINK_STATE_UP, 1, stalled ? "it does not read from its ring" : "", NULL);
}

static void on_peer(void *userdata, const char *unique, const char *remote_unique, unsigned hops, unsigned figures) {
        peer_tell(CONTROL_PEER, hops, figures, unique, remote_unique);
}

static void on_peer_gone(void *userdata, const char *unique) {
        peer_tell(CONTROL_PEER_GONE, 0, 0, unique, NULL);
}

static void on_name(void *userdata, const char *name, const char *unique) {
        peer_tell(CONTROL_NAME, 0, 0, name, unique);
}

static void on_activatable(void *userdata, const char *name, bool is, unsigned hops) {
        peer_tell(CONTROL_ACTIVATABLE, is ? hops + 1 : 0, 0, name, NULL);
}

static void on_started(void *userdata, uint64_t tag, const char *error, const char *text) {
        peer_tell(CONTROL_STARTED, 0, tag, error, text);
}

static void on_policy_in_force(void *userdata) {
        peer_hub_in_force(userdata);
}

static void on_ended(void *userdata, const char *reason) {
        struct peer *peer = userdata;

        log_event(LOG_INFO, LOG_FIELDS({ "XCP_REASON", reason }), "The link to domain %u is down: %s", peer->options.domain, reason);
        peer_tell(CONTROL_STATE, XCP_LINK_STATE_CONNECTING, 0, reason, NULL);
        sd_event_exit(peer->event, EXIT_SUCCESS);
}

static const struct session_handlers session_handlers = {
        .up = on_up,
        .listener = on_listener,
        .settle = peer_hub_settle,
        .hear = peer_hub_hear,
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
        peer_tell(CONTROL_DENIED, direction, 0, what, rule);
}

void peer_end(struct peer *peer, const char *reason) {
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

        peer_end(peer, error ? "the store is gone" : "its bridge has begun anew");
}

static const struct rendezvous_handlers rendezvous_handlers = { .met = on_met, .on_event = on_ring, .over = on_over };

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        peer_end(userdata, "the bridge is stopping");
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
        return r < 0 ? r : peer_hub_watch(peer);
}

static int start(struct peer *peer) {
        const struct guard_domain domain = {
                .id = peer->options.domain,
                .uuid = peer->options.uuid,
                .name = peer->name,
                .type = peer->type,
        };
        int r;

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
                r = peer_hub_load_policy(peer, CONTROL_POLICY_FD);
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
        peer_hub_unwatch(&peer);
        sd_event_unref(peer.event);
        return r < 0 ? EXIT_FAILURE : r;
}
