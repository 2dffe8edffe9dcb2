/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which domains there are, and which of them have a bridge, out of the store.
 *
 * A bridge says of itself that it is there: data/xcp-bridge/N/bridge in its own directory, for each domain N that it would be joined to. In
 * domain 0, one watch per domain waits for that. In others there is no looking around, as the store does not let them: they are joined to
 * domain 0, and to those that they are told of.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <xenstore.h>

#include "cleanup.h"
#include "hub.h"

#define PATH_SIZE 80

struct seen {
        unsigned domain;
        bool present;                   /* in this round of looking */
        bool found;                     /* it has a bridge, and somebody was told */
        char uuid[40];
};

struct hub_store {
        struct xs_handle *store;
        sd_event_source *io;
        sd_event *event;
        unsigned own;
        char *own_uuid;
        struct table *domains;          /* struct seen by id */
        unsigned links[64];
        size_t n_links;
        hub_found_t found;
        hub_lost_t lost;
        void *userdata;
};

static char *read_node(struct hub_store *store, const char *directory, unsigned domain, const char *node) {
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "%s/%u/%s", directory, domain, node);
        return xs_read(store->store, XBT_NULL, path, NULL);
}

/* "" if the store does not say. */
static char *read_or_empty(struct hub_store *store, const char *directory, unsigned domain, const char *node) {
        char *value = read_node(store, directory, domain, node);

        return value ? value : strdup("");
}

/* /local/domain/N/vm is /vm/UUID. */
static char *read_uuid(struct hub_store *store, unsigned domain) {
        AUTO_FREE char *vm = read_node(store, "/local/domain", domain, "vm");

        if (domain == 0)
                return strdup("00000000-0000-0000-0000-000000000000");
        return strdup(vm && strncmp(vm, "/vm/", 4) == 0 ? vm + 4 : "");
}

static void presence_path(char *path, unsigned of, unsigned for_domain) {
        snprintf(path, PATH_SIZE, "/local/domain/%u/data/xcp-bridge/%u/bridge", of, for_domain);
}

/* All that this domain has written for another, also by a process that was killed. */
static void remove_directory(struct hub_store *store, unsigned for_domain) {
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "/local/domain/%u/data/xcp-bridge/%u", store->own, for_domain);
        xs_rm(store->store, XBT_NULL, path);
}

static int say_present(struct hub_store *store, unsigned for_domain) {
        struct xs_permissions permissions[] = { { .id = store->own, .perms = XS_PERM_NONE }, { .id = for_domain, .perms = XS_PERM_READ } };
        char path[PATH_SIZE];

        presence_path(path, store->own, for_domain);
        if (!xs_write(store->store, XBT_NULL, path, "1", 1) || !xs_set_permissions(store->store, XBT_NULL, path, permissions, 2)) {
                int r = errno ? -errno : -EIO;

                log_event(LOG_ERR, NULL, "Cannot write '%s' to the store: %s", path, strerrordesc_np(-r));
                return r;
        }
        return 0;
}

static void tell_found(struct hub_store *store, struct seen *seen) {
        struct hub_found found = { .domain = seen->domain };

        found.uuid = read_uuid(store, seen->domain);
        found.name = read_or_empty(store, "/local/domain", seen->domain, "name");
        found.type = read_or_empty(store, "/libxl", seen->domain, "type");
        if (found.uuid && found.name && found.type) {
                snprintf(seen->uuid, sizeof seen->uuid, "%s", found.uuid);
                seen->found = true;
                store->found(store->userdata, &found);
        }
        free(found.uuid);
        free(found.name);
        free(found.type);
}

static void tell_lost(struct hub_store *store, struct seen *seen) {
        if (seen->found)
                store->lost(store->userdata, seen->domain);
        seen->found = false;
}

/* One domain: does it have a bridge, and is it still the same domain? */
static void look_at(struct hub_store *store, struct seen *seen) {
        AUTO_FREE char *uuid = read_uuid(store, seen->domain);
        AUTO_FREE char *present = NULL;
        char path[PATH_SIZE];

        presence_path(path, seen->domain, store->own);
        present = xs_read(store->store, XBT_NULL, path, NULL);
        if (seen->found && (!present || (uuid && strcmp(uuid, seen->uuid) != 0)))
                tell_lost(store, seen);
        if (present && !seen->found)
                tell_found(store, seen);
}

static struct seen *see(struct hub_store *store, unsigned domain) {
        struct seen *seen = table_get_number(store->domains, domain);
        char path[PATH_SIZE];

        if (seen || table_count(store->domains) >= HUB_LINKS_MAX)
                return seen;
        seen = calloc(1, sizeof *seen);
        if (!seen)
                return NULL;
        seen->domain = domain;
        if (table_add_number(store->domains, domain, seen) < 0) {
                free(seen);
                return NULL;
        }
        presence_path(path, domain, store->own);
        xs_watch(store->store, path, path);     /* fires at once */
        return seen;
}

static void forget(struct hub_store *store, struct seen *seen) {
        char path[PATH_SIZE];

        presence_path(path, seen->domain, store->own);
        xs_unwatch(store->store, path, path);
        tell_lost(store, seen);
        remove_directory(store, seen->domain);
        table_remove_number(store->domains, seen->domain);
        free(seen);
}

/* Domain 0, when some domain came or went. */
static void look_around(struct hub_store *store) {
        AUTO_FREE char **ids = NULL;
        struct seen *seen;
        size_t iterator = 0;
        unsigned n = 0;

        ids = xs_directory(store->store, XBT_NULL, "/local/domain", &n);
        if (!ids)
                return;
        while ((seen = table_next(store->domains, &iterator)))
                seen->present = false;
        for (unsigned i = 0; i < n; i++) {
                unsigned domain = (unsigned) strtoul(ids[i], NULL, 10);

                if (domain == store->own || !xs_is_domain_introduced(store->store, domain))
                        continue;
                seen = see(store, domain);
                if (seen)
                        seen->present = true;
        }
        for (iterator = 0; (seen = table_next(store->domains, &iterator));)
                if (!seen->present)
                        forget(store, seen);
}

static void on_change(struct hub_store *store, const char *token) {
        unsigned domain;

        if (token[0] == '@')
                look_around(store);
        else if (sscanf(token, "/local/domain/%u/", &domain) == 1) {
                struct seen *seen = table_get_number(store->domains, domain);

                if (seen)
                        look_at(store, seen);
        }
}

static int on_store(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct hub_store *store = userdata;
        char **change;

        while ((change = xs_check_watch(store->store))) {
                on_change(store, change[XS_WATCH_TOKEN]);
                free(change);
        }
        if (errno != EAGAIN) {
                log_event(LOG_ERR, NULL, "The store is gone");
                return sd_event_exit(store->event, EXIT_FAILURE);
        }
        return 0;
}

static int start_domain0(struct hub_store *store) {
        if (!xs_watch(store->store, "@introduceDomain", "@introduceDomain") || !xs_watch(store->store, "@releaseDomain", "@releaseDomain"))
                return errno ? -errno : -EIO;
        return sd_event_add_io(store->event, &store->io, xs_fileno(store->store), EPOLLIN, on_store, store);
}

/* A guest: the domains it is told of are taken to be there; their processes wait for them. */
static void start_guest(struct hub_store *store, unsigned domain) {
        struct seen *seen = calloc(1, sizeof *seen);

        if (!seen)
                return;
        seen->domain = domain;
        if (table_add_number(store->domains, domain, seen) < 0)
                free(seen);
        else
                tell_found(store, seen);
}

int hub_store_start(struct hub_store *store, const unsigned *links, size_t n_links) {
        int r;

        if (store->own == 0)
                return start_domain0(store);
        r = say_present(store, 0);
        if (r < 0)
                return r;
        store->links[store->n_links++] = 0;
        for (size_t i = 0; i < n_links && store->n_links < sizeof store->links / sizeof store->links[0]; i++)
                store->links[store->n_links++] = links[i];
        for (size_t i = 0; i < store->n_links; i++)
                start_guest(store, store->links[i]);
        return 0;
}

int hub_store_new(struct hub_store **ret_store, sd_event *event, hub_found_t found, hub_lost_t lost, void *userdata) {
        struct hub_store *store = calloc(1, sizeof *store);
        char *own;
        int r;

        if (!store)
                return -ENOMEM;
        store->event = event;
        store->found = found;
        store->lost = lost;
        store->userdata = userdata;
        r = table_new(&store->domains);
        if (r < 0) {
                free(store);
                return r;
        }
        store->store = xs_open(0);
        own = store->store ? xs_read(store->store, XBT_NULL, "domid", NULL) : NULL;
        if (!own) {
                log_event(LOG_ERR, NULL, "Cannot learn from the store which domain this is");
                hub_store_free(store);
                return -ENXIO;
        }
        store->own = (unsigned) strtoul(own, NULL, 10);
        free(own);
        store->own_uuid = read_uuid(store, store->own);
        if (!store->own_uuid) {
                hub_store_free(store);
                return -ENOMEM;
        }
        *ret_store = store;
        return 0;
}

struct hub_store *hub_store_free(struct hub_store *store) {
        struct seen *seen;
        size_t iterator = 0;

        if (!store)
                return NULL;
        sd_event_source_disable_unref(store->io);
        for (size_t i = 0; i < store->n_links; i++)
                remove_directory(store, store->links[i]);
        while ((seen = table_next(store->domains, &iterator)))
                free(seen);
        table_free(store->domains);
        if (store->store)
                xs_close(store->store);
        free(store->own_uuid);
        free(store);
        return NULL;
}

unsigned hub_store_own_domain(const struct hub_store *store) {
        return store->own;
}

const char *hub_store_own_uuid(const struct hub_store *store) {
        return store->own_uuid;
}
