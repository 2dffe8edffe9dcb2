/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Services of other domains that this bus can start.
 *
 * For each name that another domain would start, and may own here, there is an activation file in the domain's directory: its program is this one
 * with --activate, which has the hub ask the other domain. So the bus itself keeps calls until the name is there, tells callers when it cannot
 * be, lists the name as activatable, and starts nothing for a call with NO_AUTO_START. A file of this domain's own for the same name is
 * left alone: what can be started here is started here. Of several domains that would start one, the one that has said so first is asked.
 *
 * What the bus would start is looked at whenever it says that this has changed, and now and then, and told to the processes: services come and go
 * while links are up.
 */

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "activation-file.h"
#include "bridge1-manager.h"
#include "cleanup.h"
#include "hub.h"
#include "idl-errors.h"

#define LOOK_USEC UINT64_C(5000000)     /* dbus-broker does not tell what has changed: how often it is asked */

/* A domain that would start a service of some name. */
struct claim {
        struct hub_link *link;
        unsigned hops;
        struct claim *next;
};

struct activatable {
        struct claim *claims;           /* the first is asked; NULL: nobody would start it any longer, and the bus may not know yet */
        bool has_file, failed;
        uint64_t gone_at;               /* how often the bus had been told to read its files when the last claim went */
        char name[];
};

/* A call that waits for a service. */
struct start {
        struct start *next;
        struct hub_link *link;
        struct idl_call *call;
        uint64_t tag;
        char name[];
};

struct hub_activation {
        struct table *names;            /* struct activatable by name */
        struct start *starts;
        uint64_t last_tag;
        char *directory;
        char *program;
        sd_event_source *reload;        /* files have changed since the bus was told */
        uint64_t n_reloads, n_reloaded; /* how often it was told, and has answered */
        struct table *listed;           /* the names that the bus would start, at the last look; the values mean nothing */
        sd_bus_slot *look;              /* a question that it has not answered yet */
        bool look_again;
        uint64_t look_reloaded;         /* n_reloaded when it was asked */
        sd_event_source *timer;
};

static void look(struct hub *hub);

static int on_reloaded(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct hub *hub = userdata;

        if (!hub->activation)
                return 0;
        hub->activation->n_reloaded++;
        look(hub);
        return 0;
}

static int on_reload(sd_event_source *source, void *userdata) {
        struct hub *hub = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        if (sd_bus_call_method_async(hub->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig",
                                     on_reloaded, hub, "") >= 0)
                hub->activation->n_reloads++;
        return 0;
}

static void reload_later(struct hub_activation *activation) {
        sd_event_source_set_enabled(activation->reload, SD_EVENT_ONESHOT);
}

/* Processes tell their domains what this bus would start, and have to know what of that is in which domain. */
static void tell_bridged(struct hub_link *link, const struct activatable *activatable, bool is) {
        const struct claim *first = activatable->claims;
        enum session_bridged value = first && first->link != link && first->hops == 0 ? SESSION_BRIDGED : SESSION_BRIDGED_NOT_FOR_IT;

        hub_link_send(link, CONTROL_BRIDGED, is ? value : 0, 0, activatable->name);
}

static void tell_all_bridged(struct hub *hub, const struct activatable *activatable, bool is) {
        struct hub_link *link;
        size_t iterator = 0;

        while ((link = table_next(hub->by_domain, &iterator)))
                tell_bridged(link, activatable, is);
}

static void tell_all_changed(struct hub *hub) {
        struct hub_link *link;
        size_t iterator = 0;

        while ((link = table_next(hub->by_domain, &iterator)))
                hub_link_send(link, CONTROL_ACTIVATABLES, 0, 0, NULL);
}

void hub_activation_tell(struct hub_link *link) {
        struct hub_activation *activation = link->hub->activation;
        const struct activatable *activatable;
        size_t iterator = 0;

        while ((activatable = table_next(activation->names, &iterator)))
                if (activatable->has_file || !activatable->claims)
                        tell_bridged(link, activatable, true);
}

/* What the bus would start, and what of it is to be ours: what it can start without us is left to it. */

static void make_file(struct hub *hub, struct activatable *activatable) {
        int r = activation_file_write(hub->activation->directory, activatable->name, hub->activation->program);

        if (r > 0)
                reload_later(hub->activation);
        if (r < 0 && !activatable->failed)
                log_event(LOG_WARNING, NULL, "Calls cannot start %s of another domain: no file in %s: %s", activatable->name,
                          hub->activation->directory, strerrordesc_np(-r));
        activatable->failed = r < 0;
        activatable->has_file = r >= 0;
        if (r >= 0)
                tell_all_bridged(hub, activatable, true);
}

/* Whether this domain has got a service of that name itself, where ours was. */
static bool is_replaced(struct hub *hub, struct activatable *activatable) {
        if (!activatable->has_file || activation_file_is_there(hub->activation->directory, activatable->name))
                return false;
        activatable->has_file = false;
        tell_all_bridged(hub, activatable, false);
        return true;
}

/* Whether the processes have to look again. */
static bool update(struct hub *hub) {
        struct hub_activation *activation = hub->activation;
        struct activatable *activatable;
        size_t iterator = 0;
        bool changed = false;

        while ((activatable = table_next(activation->names, &iterator)))
                if (activatable->claims) {
                        changed |= is_replaced(hub, activatable);
                        if (!activatable->has_file && !table_get_string(activation->listed, activatable->name))
                                make_file(hub, activatable);
                } else if (activation->look_reloaded > activatable->gone_at) {
                        tell_all_bridged(hub, activatable, false);
                        table_remove_string(activation->names, activatable->name);
                        free(activatable);
                        changed = true;
                }
        return changed;
}

/* 1: what the bus would start is not what it was, 0: it is. */
static int read_names(struct hub_activation *activation, sd_bus_message *reply) {
        AUTO(table_freep) struct table *listed = NULL;
        struct table *before;
        const char *name;
        bool same = true;
        int r;

        r = table_new(&listed);
        if (r >= 0)
                r = sd_bus_message_enter_container(reply, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(reply, "s", &name)) > 0) {
                same = same && table_get_string(activation->listed, name);
                r = table_add_string(listed, name, activation);
                if (r == -EEXIST)
                        r = 0;
        }
        if (r < 0)
                return r;
        same = same && table_count(listed) == table_count(activation->listed);
        before = activation->listed;
        activation->listed = listed;
        listed = before;
        return !same;
}

static int on_names(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct hub *hub = userdata;
        struct hub_activation *activation = hub->activation;
        int r = 0;

        activation->look = sd_bus_slot_unref(activation->look);
        if (!sd_bus_message_is_method_error(reply, NULL))
                r = read_names(activation, reply);
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Cannot find out what the bus would start: %s", strerrordesc_np(-r));
        else if (update(hub) || r > 0)
                tell_all_changed(hub);
        if (activation->look_again)
                look(hub);
        return 0;
}

static void look(struct hub *hub) {
        struct hub_activation *activation = hub->activation;

        activation->look_again = activation->look;
        if (activation->look)
                return;
        activation->look_reloaded = activation->n_reloaded;
        sd_bus_call_method_async(hub->bus, &activation->look, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                 "ListActivatableNames", on_names, hub, "");
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *ret_error) {
        struct hub *hub = userdata;

        if (hub->activation)
                look(hub);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        look(userdata);
        sd_event_source_set_time_relative(source, LOOK_USEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* What other domains would start */

static int add_claim(struct hub_link *link, struct activatable *activatable, unsigned hops) {
        struct claim **p = &activatable->claims;

        while (*p && (*p)->link != link)
                p = &(*p)->next;
        if (!*p)
                *p = calloc(1, sizeof **p);
        if (!*p)
                return -ENOMEM;
        (*p)->link = link;
        (*p)->hops = hops;
        if (*p == activatable->claims && activatable->has_file) {
                tell_all_bridged(link->hub, activatable, true);
                tell_all_changed(link->hub);
        }
        look(link->hub);
        return 0;
}

static int add(struct hub_link *link, const char *name, unsigned hops) {
        struct activatable *activatable = table_get_string(link->hub->activation->names, name);
        int r;

        if (!activatable) {
                activatable = calloc(1, sizeof *activatable + strlen(name) + 1);
                if (!activatable)
                        return -ENOMEM;
                strcpy(activatable->name, name);
                r = table_add_string(link->hub->activation->names, name, activatable);
                if (r < 0) {
                        free(activatable);
                        return r;
                }
        }
        return add_claim(link, activatable, hops);
}

/* Nobody would start it any longer. Its name is kept until the bus has read that the file is not there. */
static void retire(struct hub_activation *activation, struct activatable *activatable) {
        if (!activatable->has_file) {
                table_remove_string(activation->names, activatable->name);
                free(activatable);
                return;
        }
        activatable->has_file = false;
        activatable->gone_at = activation->n_reloads;
        if (activation_file_remove(activation->directory, activatable->name))
                reload_later(activation);
}

static void drop_claim(struct hub_link *link, struct activatable *activatable) {
        struct claim **p = &activatable->claims, *claim;
        bool was_first;

        while (*p && (*p)->link != link)
                p = &(*p)->next;
        claim = *p;
        if (!claim)
                return;
        was_first = p == &activatable->claims;
        *p = claim->next;
        free(claim);
        if (!activatable->claims)
                retire(link->hub->activation, activatable);
        else if (was_first && activatable->has_file) {
                tell_all_bridged(link->hub, activatable, true);
                tell_all_changed(link->hub);
        }
}

int hub_activatable(struct hub_link *link, const char *name, bool is, unsigned hops) {
        struct activatable *activatable;

        if (!sd_bus_service_name_is_valid(name) || strchr(name, '/'))
                return -EBADMSG;
        if (is)
                return add(link, name, hops);
        activatable = table_get_string(link->hub->activation->names, name);
        if (activatable)
                drop_claim(link, activatable);
        return 0;
}

struct hub_link *hub_activation_link(struct hub *hub, const char *name) {
        const struct activatable *activatable = table_get_string(hub->activation->names, name);

        return activatable && activatable->claims ? activatable->claims->link : NULL;
}

/* Starting */

int hub_start_service(struct hub *hub, struct idl_call *call, const char *name, struct idl_error *error) {
        struct hub_activation *activation = hub->activation;
        struct hub_link *link = hub_activation_link(hub, name);
        struct start *start;

        if (!link)
                return idl_error_set_does_not_exist(error, "service", name);
        start = calloc(1, sizeof *start + strlen(name) + 1);
        if (!start)
                return -ENOMEM;
        strcpy(start->name, name);
        start->link = link;
        start->call = idl_call_ref(call);
        start->tag = ++activation->last_tag;
        start->next = activation->starts;
        activation->starts = start;
        hub_link_send(link, CONTROL_START, 0, start->tag, name);
        return 0;
}

static void finish(struct start *start, const char *error, const char *text) {
        AUTO(idl_error_done) struct idl_error failure = IDL_ERROR_NULL;
        AUTO_FREE char *what = NULL;

        if (*error == '\0')
                bridge1_manager_reply_start_service(start->call);
        else {
                if (asprintf(&what, "start %s in domain %u", start->name, start->link->domain) < 0)
                        what = NULL;
                idl_error_set_backend_failed(&failure, "bridge", what ? what : "start it", *text ? text : error);
                idl_call_fail(start->call, &failure);
        }
        idl_call_unref(start->call);
        free(start);
}

void hub_started(struct hub_link *link, uint64_t tag, const char *error, const char *text) {
        for (struct start **p = &link->hub->activation->starts; *p; p = &(*p)->next)
                if ((*p)->link == link && (*p)->tag == tag) {
                        struct start *start = *p;

                        *p = start->next;
                        finish(start, error, text);
                        return;
                }
}

void hub_activation_forget(struct hub_link *link) {
        struct hub_activation *activation = link->hub->activation;
        struct activatable *activatable;
        size_t iterator = 0;

        if (!activation)
                return;
        for (struct start **p = &activation->starts; *p;) {
                struct start *start = *p;

                if (start->link != link) {
                        p = &start->next;
                        continue;
                }
                *p = start->next;
                finish(start, "org.freedesktop.DBus.Error.Disconnected", "the link to it is lost");
        }
        while ((activatable = table_next(activation->names, &iterator)))
                drop_claim(link, activatable);
}

int hub_activation_new(struct hub *hub) {
        struct hub_activation *activation = calloc(1, sizeof *activation);
        char program[PATH_MAX] = "";
        const char *slash = strrchr(hub->bus_path, '/');
        int r;

        if (!activation)
                return -ENOMEM;
        hub->activation = activation;
        r = table_new(&activation->names);
        if (r >= 0)
                r = table_new(&activation->listed);
        if (r < 0)
                return r;
        if (readlink("/proc/self/exe", program, sizeof program - 1) < 0)
                return -errno;
        activation->program = strdup(program);
        if (asprintf(&activation->directory, "%.*s/services", slash ? (int) (slash - hub->bus_path) : 0, hub->bus_path) < 0)
                activation->directory = NULL;
        if (!activation->program || !activation->directory)
                return -ENOMEM;
        if (slash && mkdir(activation->directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        r = sd_event_add_defer(hub->event, &activation->reload, on_reload, hub);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(activation->reload, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time_relative(hub->event, &activation->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_timer, hub);
        if (r >= 0)
                r = sd_bus_match_signal_async(hub->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                              "ActivatableServicesChanged", on_changed, NULL, hub);
        if (r >= 0 && activation_files_remove(activation->directory))
                reload_later(activation);
        return r < 0 ? r : 0;
}

void hub_activation_free(struct hub *hub) {
        struct hub_activation *activation = hub->activation;
        struct activatable *activatable;
        size_t iterator = 0;

        if (!activation)
                return;
        while (activation->names && (activatable = table_next(activation->names, &iterator))) {
                activation_file_remove(activation->directory, activatable->name);
                while (activatable->claims) {
                        struct claim *claim = activatable->claims;

                        activatable->claims = claim->next;
                        free(claim);
                }
                free(activatable);
        }
        table_free(activation->names);
        table_free(activation->listed);
        sd_bus_slot_unref(activation->look);
        sd_event_source_disable_unref(activation->timer);
        sd_event_source_disable_unref(activation->reload);
        free(activation->program);
        free(activation->directory);
        free(activation);
        hub->activation = NULL;
}
