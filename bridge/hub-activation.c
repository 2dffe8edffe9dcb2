/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Services of other domains that this bus can start.
 *
 * For each name that another domain would start, and may own here, there is an activation file in the domain's directory: its program is this one
 * with --activate, which has the hub ask the other domain. So the bus itself keeps calls until the name is there, tells callers when it cannot
 * be, lists the name as activatable, and starts nothing for a call with NO_AUTO_START. A file of this domain's own for the same name is
 * left alone: what can be started here is started here.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge1-manager.h"
#include "cleanup.h"
#include "hub.h"
#include "idl-errors.h"

#define MARK "# Made by xcp-bridge: the service is in another domain.\n"
#define SUFFIX ".service"

struct activatable {
        struct hub_link *link;
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
};

static int path_of(const struct hub_activation *activation, const char *name, char **ret_path) {
        return asprintf(ret_path, "%s/%s" SUFFIX, activation->directory, name) < 0 ? -ENOMEM : 0;
}

/* Whether this bridge, or one before it, has written the file. */
static bool is_ours(const char *path) {
        char line[sizeof MARK] = "";
        FILE *f = fopen(path, "re");
        bool ours = f && fgets(line, sizeof line, f) && strcmp(line, MARK) == 0;

        if (f)
                fclose(f);
        return ours;
}

static int on_reload(sd_event_source *source, void *userdata) {
        struct hub *hub = userdata;

        sd_event_source_set_enabled(source, SD_EVENT_OFF);
        sd_bus_call_method_async(hub->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "ReloadConfig",
                                 NULL, NULL, "");
        return 0;
}

static void reload_later(struct hub_activation *activation) {
        sd_event_source_set_enabled(activation->reload, SD_EVENT_ONESHOT);
}

static int write_file(struct hub_activation *activation, const char *name) {
        AUTO_FREE char *path = NULL;
        FILE *f;
        int fd, r;

        r = path_of(activation, name, &path);
        if (r < 0)
                return r;
        if (is_ours(path))
                return 0;
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return -errno;
        f = fdopen(fd, "w");
        if (!f) {
                close(fd);
                return -ENOMEM;
        }
        fprintf(f, MARK "[D-BUS Service]\nName=%s\nExec=\"%s\" --activate %s\n", name, activation->program, name);
        if (fclose(f) != 0) {
                r = -errno;
                unlink(path);
                return r;
        }
        reload_later(activation);
        return 0;
}

static void remove_file(struct hub_activation *activation, const char *name) {
        AUTO_FREE char *path = NULL;

        if (path_of(activation, name, &path) < 0) {
                path = NULL;
                return;
        }
        if (is_ours(path) && unlink(path) == 0)
                reload_later(activation);
}

/* Of a bridge that was killed. */
static void remove_leftovers(struct hub_activation *activation) {
        DIR *directory = opendir(activation->directory);
        struct dirent *entry;

        while (directory && (entry = readdir(directory))) {
                size_t n = strlen(entry->d_name);

                if (n > sizeof SUFFIX && strcmp(entry->d_name + n - (sizeof SUFFIX - 1), SUFFIX) == 0) {
                        entry->d_name[n - (sizeof SUFFIX - 1)] = '\0';
                        remove_file(activation, entry->d_name);
                }
        }
        if (directory)
                closedir(directory);
}

/* What the bus can start without us is left to it. */
struct checking {
        struct hub *hub;
        char name[];
};

static int on_activatable_names(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        struct checking *checking = userdata;
        struct hub_activation *activation = checking->hub->activation;
        const char *name;
        bool there = false;
        int r = 0;

        if (activation && table_get_string(activation->names, checking->name) && !sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_enter_container(reply, 'a', "s") >= 0) {
                while (sd_bus_message_read(reply, "s", &name) > 0)
                        there |= strcmp(name, checking->name) == 0;
                r = there ? 0 : write_file(activation, checking->name);
        }
        if (r < 0)
                log_event(LOG_WARNING, NULL, "Calls cannot start %s of another domain: no file in %s: %s", checking->name,
                          activation->directory, strerrordesc_np(-r));
        free(checking);
        return 0;
}

static int add(struct hub_link *link, const char *name) {
        struct hub *hub = link->hub;
        struct activatable *activatable = calloc(1, sizeof *activatable + strlen(name) + 1);
        struct checking *checking = calloc(1, sizeof *checking + strlen(name) + 1);
        int r = -ENOMEM;

        if (activatable && checking) {
                activatable->link = link;
                strcpy(activatable->name, name);
                r = table_add_string(hub->activation->names, name, activatable);
        }
        if (r < 0) {
                free(activatable);
                free(checking);
                return r == -EEXIST ? 0 : r;    /* another domain would start it, too: the first one does */
        }
        checking->hub = hub;
        strcpy(checking->name, name);
        r = sd_bus_call_method_async(hub->bus, NULL, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                     "ListActivatableNames", on_activatable_names, checking, "");
        if (r < 0)
                free(checking);
        return r < 0 ? r : 0;
}

static void drop(struct hub_activation *activation, struct activatable *activatable) {
        table_remove_string(activation->names, activatable->name);
        remove_file(activation, activatable->name);
        free(activatable);
}

int hub_activatable(struct hub_link *link, const char *name, bool is) {
        struct hub_activation *activation = link->hub->activation;
        struct activatable *activatable = table_get_string(activation->names, name);

        if (!sd_bus_service_name_is_valid(name) || strchr(name, '/'))
                return -EBADMSG;
        if (is)
                return activatable ? 0 : add(link, name);
        if (activatable && activatable->link == link)
                drop(activation, activatable);
        return 0;
}

struct hub_link *hub_activation_link(struct hub *hub, const char *name) {
        struct activatable *activatable = table_get_string(hub->activation->names, name);

        return activatable ? activatable->link : NULL;
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
                if (activatable->link == link)
                        drop(activation, activatable);
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
                remove_leftovers(activation);
        return r;
}

void hub_activation_free(struct hub *hub) {
        struct hub_activation *activation = hub->activation;
        struct activatable *activatable;
        size_t iterator = 0;

        if (!activation)
                return;
        while (activation->names && (activatable = table_next(activation->names, &iterator)))
                drop(activation, activatable);
        table_free(activation->names);
        sd_event_source_disable_unref(activation->reload);
        free(activation->program);
        free(activation->directory);
        free(activation);
        hub->activation = NULL;
}
