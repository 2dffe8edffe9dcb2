/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The hub: what a domain's bridge is as a service. It finds out which domains there are to be joined, has a process for each, and answers
 * for all of them as org.xen.xcp.bridge. It touches no byte of another domain.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control.h"
#include "service.h"
#include "table.h"
#include "xcp-types.h"

#define HUB_LINKS_MAX 1024u
#define HUB_POLICIES_MAX 6u             /* files and directories */

struct hub;

struct hub_found {                      /* a domain with a bridge, as the store has it; "" for what it does not say */
        unsigned domain;
        char *uuid, *name, *type;
};

struct hub_packet {                     /* for a process that does not read at the moment */
        struct hub_packet *next;
        int fd;                         /* that goes with it; -1: none */
        uint32_t type, value;
        uint64_t number;
        char *first;
};

/* A peer of another domain on this bus. */
struct hub_peer {
        struct hub_link *link;
        struct hub_peer *next;          /* of the same link */
        unsigned hops, figures;
        char *remote_unique;
        char unique[];
};

/* A name that a domain owns here. */
struct hub_name {
        struct hub_link *link;
        struct hub_name *next;
        char *owner;
        char name[];
};

/* The way to another domain, and the process that keeps it. */
struct hub_link {
        struct hub *hub;
        unsigned domain;
        char *uuid, *name, *type;       /* as the store has them; "" if it does not say */
        const char *path;               /* of the object */

        enum xcp_link_state state;
        char *reason;
        unsigned version;
        uint64_t epoch;
        struct hub_peer *peers;
        size_t n_peers;
        struct hub_name *names;
        size_t n_names;
        uint32_t policy_generation;     /* of the policy that its process is known to have in force */
        uint64_t denied_usec;           /* when the second began in which n_denied were signalled */
        unsigned n_denied, n_not_told;

        int fd;                         /* to the process; -1 if there is none */
        int pid;
        struct control_figures *figures;
        sd_event_source *control, *child, *retry;
        struct hub_packet *first, **last;
        size_t n_packets;
        uint64_t listener;              /* the process's connection that hears of signals: a number of hub-wants.c; 0: not known */
        bool removed;                   /* its domain is gone: freed when the process has ended */
        struct hub_found *next;         /* another domain that has got the same id meanwhile */
        uint64_t wait_usec;             /* before the next process */
        uint64_t started_usec;
};

struct hub {
        struct service *service;
        sd_bus *bus;
        sd_event *event;
        struct objects *links;
        struct table *by_domain;        /* struct hub_link */
        struct table *peers;            /* struct hub_peer by unique name */
        struct table *names;            /* struct hub_name by name */
        struct hub_store *store;
        unsigned own_domain;
        char *own_uuid;
        char *bus_path;
        const struct hub_options *options;
        struct hub_wants *wants;        /* what clients of this bus want to hear: hub-wants.c */
        struct hub_monitor *monitor;    /* how that is known: hub-monitor.c */
        struct control_news *news;
        int news_fd;
        struct bridge_policy *policy;   /* in force, here and in all processes but those that have not said so yet */
        int policy_fd;                  /* a copy of it, for them */
        uint32_t policy_generation;
        struct hub_reload *reloads;     /* that are not in force everywhere: hub-policy.c */
        uint64_t epoch;
        struct hub_activation *activation;
        struct hub_move *moves;         /* of services, that go on: move-service.c */
        uint64_t last_move;
        bool stopping;
};

/* hub-link.c */
int hub_link_new(struct hub *hub, const struct hub_found *domain);      /* also while one to a domain of the same id ends */
void hub_link_remove(struct hub_link *link);            /* its domain is gone */
void hub_link_free(struct hub_link *link);              /* at once, with the process if there is one */
void hub_link_start(struct hub_link *link);             /* a process, if there is none */
void hub_link_end(struct hub_link *link, const char *reason);
void hub_link_renew(struct hub_link *link, const char *reason);         /* without the pause that failures have made long */
void hub_link_send(struct hub_link *link, enum control_type type, uint32_t value, uint64_t number, const char *first);

void hub_link_send_policy(struct hub_link *link);        /* the one in force */
void hub_link_kill(struct hub_link *link, const char *why);              /* its process, which does not do what it is told */

/* hub-policy.c. Reads the files. -EINVAL: text says which line is wrong, and how; what was in force stays. */
int hub_policy_load(struct hub *hub, char *text, size_t n_text);
void hub_policy_free(struct hub *hub);

/*
 * Reads them again, for a caller, who is answered when every process has the new policy in force. One that does not say so in time is ended, which
 * fails closed: what takes its place has the new one.
 */
int hub_policy_reload(struct hub *hub, struct idl_call *call, struct idl_error *error);
void hub_policy_settled(struct hub *hub);                /* a process has said so, or ended */
void hub_policy_forget_reloads(struct hub *hub);

/* hub-control.c: what a process tells. */
int hub_link_handle(struct hub_link *link, const struct control *control);
void hub_link_forget(struct hub_link *link);            /* who and what it had here */
void hub_link_set_state(struct hub_link *link, enum xcp_link_state state, unsigned version, const char *reason);

/*
 * hub-wants.c: the match rules of all connections to this bus, each told to every process for as long as anybody has it but that process itself. Of whom
 * not all is known, everything may be wanted.
 */
int hub_wants_new(struct hub *hub);
void hub_wants_free(struct hub *hub);
int hub_wants_add(struct hub *hub, const char *unique, const char *rule);
void hub_wants_remove(struct hub *hub, const char *unique, const char *rule);
int hub_wants_everything(struct hub *hub, const char *unique);
void hub_wants_leave(struct hub *hub, const char *unique);      /* the connection has ended */
int hub_wants_listener(struct hub_link *link, const char *unique);
void hub_wants_tell(struct hub_link *link);             /* all, to a new process */

/* hub-monitor.c */
int hub_monitor_new(struct hub *hub);
void hub_monitor_free(struct hub *hub);
void hub_monitor_settle(struct hub *hub);               /* reads all that the bus has told */
int hub_monitor_watch(struct hub *hub);                 /* a descriptor for a process: CONTROL_WATCH_FD */

/* hub-objects.c */
int hub_objects_export(struct hub *hub);
void hub_link_changed(struct hub_link *link);           /* its state */
void hub_link_names_changed(struct hub_link *link);
void hub_denied(struct hub_link *link, const struct control *control);

/* hub-activation.c: services of other domains that this bus can start. */
int hub_activatable(struct hub_link *link, const char *name, bool is, unsigned hops);
void hub_started(struct hub_link *link, uint64_t tag, const char *error, const char *text);
int hub_start_service(struct hub *hub, struct idl_call *call, const char *name, struct idl_error *error);
struct hub_link *hub_activation_link(struct hub *hub, const char *name);       /* where it would be started; NULL: nowhere */
int hub_activation_new(struct hub *hub);
void hub_activation_tell(struct hub_link *link);         /* which of them there are, to a new process */
void hub_activation_forget(struct hub_link *link);
void hub_activation_free(struct hub *hub);

/* hub-store.c */
struct hub_store;
typedef void (*hub_found_t)(void *userdata, const struct hub_found *domain);    /* may be told again, with another UUID */
typedef void (*hub_lost_t)(void *userdata, unsigned domain);

int hub_store_new(struct hub_store **ret_store, sd_event *event, hub_found_t found, hub_lost_t lost, void *userdata);
struct hub_store *hub_store_free(struct hub_store *store);
unsigned hub_store_own_domain(const struct hub_store *store);
const char *hub_store_own_uuid(const struct hub_store *store);

/* Begins: says that this domain has a bridge, and in domain 0 looks for others that have. links: domains for direct links. */
int hub_store_start(struct hub_store *store, const unsigned *links, size_t n_links);

/* hub.c */
#define HUB_PAUSE_MAX_MSEC 2000u

struct hub_options {
        const char *policies[HUB_POLICIES_MAX];         /* files and directories */
        size_t n_policies;
        unsigned links[64];                             /* of a guest: domains besides domain 0 */
        size_t n_links;
        unsigned pause_max_msec;        /* before a link whose process has ended is tried again */
};

int hub_run(const struct hub_options *options, int argc, char **argv);
