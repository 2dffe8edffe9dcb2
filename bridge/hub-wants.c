/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What the clients of this bus want to hear, whoever they are.
 *
 * A connection is remembered from its first rule until it leaves. Processes are told of each rule once; of rules that only they themselves have, for
 * their domain, they are not: what a domain asks for must not come back to it as a wish of this one. Rules of other processes' domains
 * count as anybody's, which is how signals go over two links.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "match-set.h"

#define RULES_MAX 16384u                /* of one connection, before it is taken to want everything; the bus has a lower limit of its own */

static const char everything[] = "type='signal'";

/* A connection that has rules, or whose rules are not known. */
struct watcher {
        uint64_t number;
        size_t n_rules;
        bool everything;
        char unique[];
};

struct hub_wants {
        struct match_set *rules;
        struct table *watchers;         /* by unique name */
        uint64_t last_number;
};

static struct watcher *watcher_of(struct hub *hub, const char *unique) {
        return table_get_string(hub->wants->watchers, unique);
}

static int watcher_ensure(struct hub *hub, const char *unique, struct watcher **ret_watcher) {
        struct watcher *watcher = watcher_of(hub, unique);
        int r;

        if (!watcher) {
                watcher = calloc(1, sizeof *watcher + strlen(unique) + 1);
                if (!watcher)
                        return -ENOMEM;
                strcpy(watcher->unique, unique);
                watcher->number = ++hub->wants->last_number;
                r = table_add_string(hub->wants->watchers, unique, watcher);
                if (r < 0) {
                        free(watcher);
                        return r;
                }
        }
        *ret_watcher = watcher;
        return 0;
}

/* A rule became, or ceases to be, one of this watcher: those are told for whom it changes whether anybody else has it. */
static void tell(struct hub *hub, uint64_t watcher, const char *text, bool wanted) {
        struct hub_link *link;
        size_t iterator = 0;
        uint32_t generation = hub->news->generation + 1;
        bool told = false;

        while ((link = table_next(hub->by_domain, &iterator))) {
                if (link->fd < 0 || link->listener == watcher)
                        continue;
                if (match_set_others(hub->wants->rules, text, watcher, link->listener) > 0)
                        continue;
                hub_link_send(link, wanted ? CONTROL_WANT : CONTROL_UNWANT, 0, 0, text);
                told = true;
        }
        if (told)
                __atomic_store_n(&hub->news->generation, generation, __ATOMIC_RELEASE);
}

static int add(struct hub *hub, struct watcher *watcher, const char *rule) {
        const struct match *added;
        struct match_error error;
        struct match *match;
        size_t before;
        char *text;
        int r;

        r = match_new(&match, rule, strlen(rule), &error);
        if (r < 0)
                return r;
        r = match_broadcasts_of(match, NULL, &text);    /* which says only whether there are any */
        if (r < 0) {
                match_free(match);
                return r == -ENOENT ? 0 : r;
        }
        free(text);
        if (match->sender && strcmp(match->sender, "org.freedesktop.DBus") == 0) {      /* each bus's own */
                match_free(match);
                return 0;
        }
        before = match_set_others(hub->wants->rules, match->text, 0, 0);
        r = match_set_add(hub->wants->rules, watcher->number, match, &added);
        if (r < 0)
                return r;
        watcher->n_rules++;
        if (match_set_others(hub->wants->rules, added->text, 0, 0) > before)
                tell(hub, watcher->number, added->text, true);
        return 0;
}

static void forget_rules(struct hub *hub, struct watcher *watcher) {
        struct match_set *rules = hub->wants->rules;

        for (size_t i = 0; i < match_set_count(rules); i++)
                if (match_set_wants(rules, i, watcher->number))
                        tell(hub, watcher->number, match_set_rule(rules, i)->text, false);
        match_set_remove_peer(rules, watcher->number, NULL, NULL);
        watcher->n_rules = 0;
}

static int want_everything(struct hub *hub, struct watcher *watcher) {
        if (watcher->everything)
                return 0;
        forget_rules(hub, watcher);
        watcher->everything = true;
        return add(hub, watcher, everything);
}

int hub_wants_everything(struct hub *hub, const char *unique) {
        struct watcher *watcher;
        int r = watcher_ensure(hub, unique, &watcher);

        return r < 0 ? r : want_everything(hub, watcher);
}

int hub_wants_add(struct hub *hub, const char *unique, const char *rule) {
        struct watcher *watcher;
        int r;

        r = watcher_ensure(hub, unique, &watcher);
        if (r < 0 || watcher->everything)
                return r;
        if (watcher->n_rules < RULES_MAX)
                r = add(hub, watcher, rule);
        if (r == -EINVAL || watcher->n_rules >= RULES_MAX)      /* the bus may understand it, and mean who knows what */
                r = want_everything(hub, watcher);
        return r;
}

void hub_wants_remove(struct hub *hub, const char *unique, const char *rule) {
        struct watcher *watcher = watcher_of(hub, unique);
        struct match_error error;
        struct match *match;
        size_t others;

        if (!watcher || watcher->everything || match_new(&match, rule, strlen(rule), &error) < 0)
                return;
        others = match_set_others(hub->wants->rules, match->text, watcher->number, 0);
        if (match_set_remove(hub->wants->rules, watcher->number, match->text) >= 0) {
                watcher->n_rules--;
                if (match_set_others(hub->wants->rules, match->text, 0, 0) == others)   /* he had not asked for it twice */
                        tell(hub, watcher->number, match->text, false);
        }
        match_free(match);
}

static void watcher_free(struct hub *hub, struct watcher *watcher) {
        table_remove_string(hub->wants->watchers, watcher->unique);
        free(watcher);
}

void hub_wants_leave(struct hub *hub, const char *unique) {
        struct watcher *watcher = watcher_of(hub, unique);

        if (!watcher)
                return;
        forget_rules(hub, watcher);
        watcher_free(hub, watcher);
}

/* Its own wishes it is not to be told. Those that came before this are taken back. */
int hub_wants_listener(struct hub_link *link, const char *unique) {
        struct hub *hub = link->hub;
        struct match_set *rules = hub->wants->rules;
        struct watcher *watcher;
        int r;

        r = watcher_ensure(hub, unique, &watcher);
        if (r < 0)
                return r;
        for (size_t i = 0; i < match_set_count(rules); i++)
                if (match_set_wants(rules, i, watcher->number) &&
                    match_set_others(rules, match_set_rule(rules, i)->text, watcher->number, link->listener) == 0)
                        hub_link_send(link, CONTROL_UNWANT, 0, 0, match_set_rule(rules, i)->text);
        link->listener = watcher->number;
        return 0;
}

void hub_wants_tell(struct hub_link *link) {
        struct match_set *rules = link->hub->wants->rules;

        link->listener = 0;
        for (size_t i = 0; i < match_set_count(rules); i++)
                hub_link_send(link, CONTROL_WANT, 0, 0, match_set_rule(rules, i)->text);
}

int hub_wants_new(struct hub *hub) {
        int r;

        hub->wants = calloc(1, sizeof *hub->wants);
        if (!hub->wants)
                return -ENOMEM;
        r = match_set_new(&hub->wants->rules);
        return r < 0 ? r : table_new(&hub->wants->watchers);
}

void hub_wants_free(struct hub *hub) {
        struct watcher *watcher;
        size_t iterator = 0;

        if (!hub->wants)
                return;
        while (hub->wants->watchers && (watcher = table_next(hub->wants->watchers, &iterator)))
                free(watcher);
        table_free(hub->wants->watchers);
        match_set_free(hub->wants->rules);
        free(hub->wants);
        hub->wants = NULL;
}
