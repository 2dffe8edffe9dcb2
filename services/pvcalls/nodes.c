/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "cleanup.h"

#define PATH_SIZE 192u
#define WATCHES_PER_WAKEUP 256u
#define TRIES_MAX 64u                   /* of a transaction: a guest that writes all the time must not keep us at it */

static void frontend_path(char path[static PATH_SIZE], uint32_t domain) {
        snprintf(path, PATH_SIZE, "/local/domain/%u/device/pvcalls/0", domain);
}

static void backend_path(char path[static PATH_SIZE], uint32_t domain, uint32_t backend) {
        snprintf(path, PATH_SIZE, "/local/domain/%u/backend/pvcalls/%u/0", backend, domain);
}

/* A node's text; NULL if it cannot be read. */
static char *node_read(const struct nodes *nodes, xs_transaction_t transaction, const char *directory, const char *name) {
        char path[PATH_SIZE + 64];
        unsigned n;

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_read(nodes->xs, transaction, path, &n);
}

static int node_write(const struct nodes *nodes, xs_transaction_t transaction, const char *directory, const char *name, const char *text) {
        char path[PATH_SIZE + 64];

        snprintf(path, sizeof path, "%s/%s", directory, name);
        return xs_write(nodes->xs, transaction, path, text, (unsigned) strlen(text)) ? 0 : -errno;
}

static int number_parse(const char *text, uint32_t *ret_number) {
        char *end;
        unsigned long number;

        if (!text || text[0] < '0' || text[0] > '9')
                return -EINVAL;
        errno = 0;
        number = strtoul(text, &end, 10);
        if (errno != 0 || *end != '\0' || number > UINT32_MAX)
                return -EINVAL;
        *ret_number = (uint32_t) number;
        return 0;
}

/* Watches */

/* Which domain a watch is about: .../backend/pvcalls/ID/... and /local/domain/ID/device/... */
static uint32_t domain_of(const char *path) {
        const char *at = strstr(path, "backend/pvcalls/");
        unsigned domain;

        if (at && sscanf(at, "backend/pvcalls/%u", &domain) == 1)
                return domain;
        if (sscanf(path, "/local/domain/%u/device/", &domain) == 1)
                return domain;
        return UINT32_MAX;
}

static int on_watch(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct nodes *nodes = userdata;

        for (unsigned i = 0; i < WATCHES_PER_WAKEUP; i++) {
                AUTO_FREE char **watch = xs_check_watch(nodes->xs);

                if (!watch)
                        return 0;
                nodes->changed(domain_of(watch[XS_WATCH_PATH]), nodes->userdata);
        }
        return 0;
}

int nodes_open(struct nodes *nodes, sd_event *event, nodes_changed_t changed, void *userdata) {
        AUTO_FREE char *own = NULL;
        unsigned n;

        *nodes = (struct nodes) { .xs = xs_open(0), .changed = changed, .userdata = userdata };
        if (!nodes->xs)
                return -errno;
        own = xs_read(nodes->xs, XBT_NULL, "domid", &n);
        if (number_parse(own, &nodes->own_domain) < 0)
                return -ENOENT;
        if (!xs_watch(nodes->xs, "backend/pvcalls", "pvcalls"))
                return -errno;
        xs_watch(nodes->xs, "@releaseDomain", "pvcalls");       /* a driver domain may not be allowed to; the nodes go as well */
        if (nodes->own_domain == 0)
                xs_watch(nodes->xs, "@introduceDomain", "pvcalls");
        return sd_event_add_io(event, &nodes->source, xs_fileno(nodes->xs), EPOLLIN, on_watch, nodes);
}

void nodes_close(struct nodes *nodes) {
        nodes->source = sd_event_source_disable_unref(nodes->source);
        if (nodes->xs)
                xs_close(nodes->xs);
        nodes->xs = NULL;
}

void nodes_watch_frontend(const struct nodes *nodes, uint32_t domain, bool watch) {
        char path[PATH_SIZE], state[PATH_SIZE + 8];

        frontend_path(path, domain);
        snprintf(state, sizeof state, "%s/state", path);
        if (watch)
                xs_watch(nodes->xs, state, "frontend");
        else
                xs_unwatch(nodes->xs, state, "frontend");
}

/* Domains */

/* A driver domain may not ask which domains there are. It has the device's nodes to go by, which domain 0 removes. */
bool nodes_domain_lives(const struct nodes *nodes, uint32_t domain) {
        if (domain == 0 || domain == nodes->own_domain)
                return true;
        errno = 0;
        return xs_is_domain_introduced(nodes->xs, domain) || errno == EACCES;
}

void nodes_domain_uuid(const struct nodes *nodes, uint32_t domain, char uuid[static NODES_UUID_SIZE]) {
        AUTO_FREE char *vm = NULL;
        char path[PATH_SIZE];

        snprintf(path, sizeof path, "/local/domain/%u", domain);
        vm = node_read(nodes, XBT_NULL, path, "vm");
        snprintf(uuid, NODES_UUID_SIZE, "%s", vm && strncmp(vm, "/vm/", 4) == 0 ? vm + 4 : "");
}

int nodes_find_domain(const struct nodes *nodes, const char *uuid, uint32_t *ret_domain) {
        AUTO_FREE char **ids = NULL;
        char other[NODES_UUID_SIZE];
        unsigned n = 0;
        uint32_t id;

        ids = xs_directory(nodes->xs, XBT_NULL, "/local/domain", &n);
        for (unsigned i = 0; ids && i < n; i++) {
                if (number_parse(ids[i], &id) < 0)
                        continue;
                nodes_domain_uuid(nodes, id, other);
                if (strcmp(other, uuid) == 0 && nodes_domain_lives(nodes, id)) {
                        *ret_domain = id;
                        return 0;
                }
        }
        return -ENOENT;
}

/* The device */

bool nodes_have(const struct nodes *nodes, uint32_t domain, uint32_t backend) {
        AUTO_FREE char *id = NULL;
        char path[PATH_SIZE];
        uint32_t number;

        backend_path(path, domain, backend);
        id = node_read(nodes, XBT_NULL, path, "frontend-id");
        return number_parse(id, &number) == 0 && number == domain;
}

int nodes_backend_of(const struct nodes *nodes, uint32_t domain, uint32_t *ret_backend) {
        AUTO_FREE char *id = NULL;
        char path[PATH_SIZE];

        frontend_path(path, domain);
        id = node_read(nodes, XBT_NULL, path, "backend-id");
        return id ? number_parse(id, ret_backend) : -ENOENT;
}

/* A directory whose nodes belong to owner and can be read by reader, as libxl__device_generic_add() makes it. Nodes inherit that. */
static int directory_make(const struct nodes *nodes, xs_transaction_t transaction, const char *path, uint32_t owner, uint32_t reader) {
        struct xs_permissions permissions[] = { { .id = owner, .perms = XS_PERM_NONE }, { .id = reader, .perms = XS_PERM_READ } };

        xs_rm(nodes->xs, transaction, path);
        if (!xs_mkdir(nodes->xs, transaction, path) || !xs_set_permissions(nodes->xs, transaction, path, permissions, 2))
                return -errno;
        return 0;
}

static int make_in(const struct nodes *nodes, xs_transaction_t transaction, uint32_t domain, uint32_t backend) {
        char front[PATH_SIZE], back[PATH_SIZE], domain_text[12], backend_text[12];
        int r;

        frontend_path(front, domain);
        backend_path(back, domain, backend);
        snprintf(domain_text, sizeof domain_text, "%u", domain);
        snprintf(backend_text, sizeof backend_text, "%u", backend);
        r = directory_make(nodes, transaction, front, domain, backend);
        if (r == 0)
                r = node_write(nodes, transaction, front, "backend", back);
        if (r == 0)
                r = node_write(nodes, transaction, front, "backend-id", backend_text);
        if (r == 0)
                r = node_write(nodes, transaction, front, "state", "1");
        if (r == 0)
                r = directory_make(nodes, transaction, back, backend, domain);
        if (r == 0)
                r = node_write(nodes, transaction, back, "frontend", front);
        if (r == 0)
                r = node_write(nodes, transaction, back, "frontend-id", domain_text);
        if (r == 0)
                r = node_write(nodes, transaction, back, "online", "1");
        if (r == 0)
                r = node_write(nodes, transaction, back, "state", "1");
        return r;
}

int nodes_make(const struct nodes *nodes, uint32_t domain, uint32_t backend) {
        for (unsigned i = 0; i < TRIES_MAX; i++) {
                xs_transaction_t transaction = xs_transaction_start(nodes->xs);
                int r;

                if (transaction == XBT_NULL)
                        return -errno;
                r = make_in(nodes, transaction, domain, backend);
                if (xs_transaction_end(nodes->xs, transaction, r < 0))
                        return r;
                if (errno != EAGAIN)
                        return -errno;
        }
        return -EAGAIN;
}

void nodes_set_offline(const struct nodes *nodes, uint32_t domain, uint32_t backend) {
        char path[PATH_SIZE];

        if (!nodes_have(nodes, domain, backend))
                return;
        backend_path(path, domain, backend);
        node_write(nodes, XBT_NULL, path, "online", "0");
}

/* A directory, and those above it that are empty then, up to levels of them. */
static void directory_remove(const struct nodes *nodes, const char *directory, unsigned levels) {
        char path[PATH_SIZE + 8];

        snprintf(path, sizeof path, "%s", directory);
        if (!xs_rm(nodes->xs, XBT_NULL, path))
                return;
        for (; levels > 0; levels--) {
                AUTO_FREE char **entries = NULL;
                unsigned n = 0;

                *strrchr(path, '/') = '\0';
                entries = xs_directory(nodes->xs, XBT_NULL, path, &n);
                if (!entries || n > 0)
                        return;
                xs_rm(nodes->xs, XBT_NULL, path);
        }
}

void nodes_remove(const struct nodes *nodes, uint32_t domain, uint32_t backend) {
        char path[PATH_SIZE];

        frontend_path(path, domain);
        directory_remove(nodes, path, 1);
        backend_path(path, domain, backend);
        directory_remove(nodes, path, 2);
        snprintf(path, sizeof path, "/local/domain/%u/error/backend/pvcalls/%u/0", backend, domain);
        directory_remove(nodes, path, 3);
}

bool nodes_frontend_holds(const struct nodes *nodes, uint32_t domain) {
        AUTO_FREE char *state = NULL;
        char path[PATH_SIZE];
        uint32_t number;

        frontend_path(path, domain);
        state = node_read(nodes, XBT_NULL, path, "state");
        return number_parse(state, &number) == 0 && number >= 3 && number <= 5;        /* Initialised, Connected, Closing */
}

size_t nodes_features(const struct nodes *nodes, uint32_t domain, uint32_t backend, char features[][NODES_FEATURE_SIZE]) {
        AUTO_FREE char **names = NULL;
        char front[PATH_SIZE], back[PATH_SIZE];
        size_t n_features = 0;
        unsigned n = 0;

        frontend_path(front, domain);
        backend_path(back, domain, backend);
        names = xs_directory(nodes->xs, XBT_NULL, back, &n);
        for (unsigned i = 0; names && i < n && n_features < NODES_FEATURES_MAX; i++) {
                AUTO_FREE char *ours = NULL, *untrusted_theirs = NULL;

                if (strncmp(names[i], "feature-", 8) != 0 || strlen(names[i]) - 8 >= NODES_FEATURE_SIZE)
                        continue;
                ours = node_read(nodes, XBT_NULL, back, names[i]);
                untrusted_theirs = node_read(nodes, XBT_NULL, front, names[i]);
                if (ours && untrusted_theirs && strcmp(ours, "1") == 0 && strcmp(untrusted_theirs, "1") == 0)
                        snprintf(features[n_features++], NODES_FEATURE_SIZE, "%s", names[i] + 8);
        }
        return n_features;
}
