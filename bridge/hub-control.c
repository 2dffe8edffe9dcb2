/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the processes tell: how their links are, and who and what of other domains is on this bus. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hub.h"
#include "layout.h"
#include "move-service.h"

void hub_link_set_state(struct hub_link *link, enum xcp_link_state state, unsigned version, const char *reason) {
        char *copy = strdup(reason);

        if (copy) {
                free(link->reason);
                link->reason = copy;
        }
        link->state = state;
        link->version = version;
        hub_link_changed(link);
}

static void tell_others(struct hub_link *link, enum control_type type, uint32_t value, const char *unique) {
        struct hub_link *other;
        size_t iterator = 0;

        while ((other = table_next(link->hub->by_domain, &iterator)))
                if (other != link)
                        hub_link_send(other, type, value, 0, unique);
}

static int add_peer(struct hub_link *link, const struct control *control) {
        struct hub_peer *peer;
        int r;

        if (link->n_peers >= WIRE_PEERS_MAX || control->number >= SESSION_FIGURES_MAX)
                return -EMLINK;
        peer = calloc(1, sizeof *peer + strlen(control->first) + 1);
        if (!peer)
                return -ENOMEM;
        strcpy(peer->unique, control->first);
        peer->link = link;
        peer->hops = control->value;
        peer->figures = (unsigned) control->number;
        peer->remote_unique = strdup(control->second);
        r = peer->remote_unique ? table_add_string(link->hub->peers, peer->unique, peer) : -ENOMEM;
        if (r < 0) {
                free(peer->remote_unique);
                free(peer);
                return r;
        }
        peer->next = link->peers;
        link->peers = peer;
        link->n_peers++;
        tell_others(link, CONTROL_FOREIGN, peer->hops, peer->unique);
        hub_link_send(link, CONTROL_PEER_KNOWN, 0, 0, peer->unique);    /* after the others were told */
        return 0;
}

static void remove_peer(struct hub_peer **p) {
        struct hub_peer *peer = *p;
        struct hub_link *link = peer->link;

        *p = peer->next;
        link->n_peers--;
        table_remove_string(link->hub->peers, peer->unique);
        tell_others(link, CONTROL_FOREIGN_GONE, 0, peer->unique);
        free(peer->remote_unique);
        free(peer);
}

static void peer_gone(struct hub_link *link, const char *unique) {
        for (struct hub_peer **p = &link->peers; *p; p = &(*p)->next)
                if (strcmp((*p)->unique, unique) == 0) {
                        remove_peer(p);
                        return;
                }
}

static void remove_name(struct hub_name **p) {
        struct hub_name *name = *p;
        struct hub_link *link = name->link;

        *p = name->next;
        link->n_names--;
        if (table_get_string(link->hub->names, name->name) == name)
                table_remove_string(link->hub->names, name->name);
        free(name->owner);
        free(name);
        hub_link_names_changed(link);
}

static void name_gone(struct hub_link *link, const char *text) {
        for (struct hub_name **p = &link->names; *p; p = &(*p)->next)
                if (strcmp((*p)->name, text) == 0) {
                        remove_name(p);
                        return;
                }
}

static int set_name(struct hub_link *link, const char *text, const char *owner) {
        struct hub_name *name;

        name_gone(link, text);
        if (*owner == '\0')
                return 0;
        if (link->n_names >= WIRE_NAMES_MAX)
                return -EMLINK;
        name = calloc(1, sizeof *name + strlen(text) + 1);
        if (!name)
                return -ENOMEM;
        strcpy(name->name, text);
        name->link = link;
        name->owner = strdup(owner);
        name->next = link->names;
        link->names = name;
        link->n_names++;
        table_remove_string(link->hub->names, text);    /* a name that moved is told by its new link before its old one */
        if (!name->owner || table_add_string(link->hub->names, text, name) < 0)
                return -ENOMEM;
        hub_link_names_changed(link);
        return 0;
}

void hub_link_forget(struct hub_link *link) {
        while (link->peers)
                remove_peer(&link->peers);
        while (link->names)
                remove_name(&link->names);
        hub_activation_forget(link);
        hub_moves_forget(link);
}

static int in_force(struct hub_link *link, uint64_t generation) {
        if (generation > link->hub->policy_generation)
                return -EBADMSG;
        link->policy_generation = (uint32_t) generation;
        hub_policy_settled(link->hub);
        return 0;
}

int hub_link_handle(struct hub_link *link, const struct control *control) {
        switch (control->type) {
        case CONTROL_STATE:
                if (control->value < XCP_LINK_STATE_CONNECTING || control->value > XCP_LINK_STATE_DOWN)
                        return -EBADMSG;
                hub_link_set_state(link, (enum xcp_link_state) control->value, (unsigned) control->number, control->first);
                return 0;
        case CONTROL_PEER:
                return add_peer(link, control);
        case CONTROL_PEER_GONE:
                peer_gone(link, control->first);
                return 0;
        case CONTROL_NAME:
                return set_name(link, control->first, control->second);
        case CONTROL_ACTIVATABLE:
                return hub_activatable(link, control->first, control->value > 0, control->value > 0 ? control->value - 1 : 0);
        case CONTROL_STARTED:
                hub_started(link, control->number, control->first, control->second);
                hub_move_started(link, control->number, control->first, control->second);
                return 0;
        case CONTROL_LISTENER:
                return hub_wants_listener(link, control->first);
        case CONTROL_SYNC:
                hub_monitor_settle(link->hub);
                hub_link_send(link, CONTROL_SYNCED, 0, link->hub->news->generation, NULL);
                return 0;
        case CONTROL_IN_FORCE:
                return in_force(link, control->number);
        case CONTROL_DENIED:
                hub_denied(link, control);
                return 0;
        default:
                return -EBADMSG;
        }
}
