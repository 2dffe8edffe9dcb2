/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "feature-nodes.h"
#include "nodes.h"

static int find_frontend(struct store *store) {
        AUTO_FREE char *id = nodes_read(store->xs, store->backend, "frontend-id");
        uint32_t domid;

        store->frontend = nodes_read(store->xs, store->backend, "frontend");
        if (!store->frontend || !id)
                return -ENOENT;
        if (nodes_parse_number(id, &domid) < 0 || domid != store->domid || strlen(store->frontend) > NODES_PATH_MAX)
                return -EBADMSG;
        return 0;
}

int store_open(struct store *store, uint32_t domid, uint32_t device) {
        int r;

        *store = (struct store) { .domid = domid, .xs = xs_open(0) };
        if (!store->xs)
                return -errno;
        if (asprintf(&store->backend, "backend/pvcalls/%u/%u", domid, device) < 0) {
                store->backend = NULL;
                return -ENOMEM;
        }
        r = find_frontend(store);
        if (r == 0)
                r = nodes_watch(store->xs, store->frontend, "state");
        if (r == 0)
                r = nodes_watch(store->xs, store->backend, "online");
        if (r < 0)
                return r;
        xs_watch(store->xs, "@releaseDomain", "pvcalls");       /* a driver domain may not be allowed to; its toolstack ends the device */
        return 0;
}

void store_close(struct store *store) {
        if (store->xs)
                xs_close(store->xs);
        free(store->backend);
        free(store->frontend);
        *store = (struct store) {};
}

int store_fd(const struct store *store) {
        return xs_fileno(store->xs);
}

void store_drain(struct store *store) {
        nodes_drain(store->xs);
}

enum xenbus_state store_own_state(const struct store *store) {
        AUTO_FREE char *state = nodes_read(store->xs, store->backend, "state");

        return xenbus_state_parse(state);
}

/* A driver domain may not ask which domains there are. It has the nodes to go by, which its toolstack removes. */
static bool domain_exists(const struct store *store) {
        errno = 0;
        return xs_is_domain_introduced(store->xs, store->domid) || errno == EACCES;
}

void store_look(const struct store *store, struct handshake_view *view) {
        AUTO_FREE char *state = nodes_read(store->xs, store->frontend, "state"), *online = nodes_read(store->xs, store->backend, "online");
        AUTO_FREE char *backend_id = nodes_read(store->xs, store->frontend, "backend-id");

        view->frontend = xenbus_state_parse(state);
        view->online = online && strcmp(online, "0") != 0;
        view->frontend_exists = (state || backend_id) && domain_exists(store);
}

static bool is_there(const struct store *store, xs_transaction_t transaction) {
        char path[2 * NODES_PATH_MAX];
        unsigned n;

        snprintf(path, sizeof path, "%s/frontend", store->backend);
        AUTO_FREE char *frontend = xs_read(store->xs, transaction, path, &n);
        return frontend;
}

/* Writes if the device is there: where the toolstack has taken it away, a node would make a directory anew that nobody removes. Else -ENOENT. */
static int write_there(const struct store *store, int (*write_in)(const struct store *, xs_transaction_t, uint32_t), uint32_t value) {
        for (;;) {
                xs_transaction_t transaction = xs_transaction_start(store->xs);
                int r;

                if (transaction == XBT_NULL)
                        return -errno;
                r = is_there(store, transaction) ? write_in(store, transaction, value) : -ENOENT;
                if (xs_transaction_end(store->xs, transaction, r < 0))
                        return r;
                if (errno != EAGAIN)
                        return -errno;
        }
}

static const char *const features[] = { FEATURE_SUPPRESSION, FEATURE_NAMES, FEATURE_SHUTDOWN, FEATURE_IPV6, FEATURE_OPTIONS, FEATURE_DATAGRAMS, FEATURE_UNIX };

static int publish_in(const struct store *store, xs_transaction_t transaction, uint32_t max_page_order) {
        char order[16];
        int r;

        snprintf(order, sizeof order, "%u", max_page_order);
        r = nodes_write(store->xs, transaction, store->backend, "versions", "1");    /* exactly: Linux's frontend compares the whole text */
        if (r == 0)
                r = nodes_write(store->xs, transaction, store->backend, "max-page-order", order);
        if (r == 0)
                r = nodes_write(store->xs, transaction, store->backend, "function-calls", "1");
        for (size_t i = 0; r == 0 && i < sizeof features / sizeof features[0]; i++)
                r = nodes_write(store->xs, transaction, store->backend, features[i], "1");
        return r;
}

int store_publish(const struct store *store, uint32_t max_page_order) {
        return write_there(store, publish_in, max_page_order);
}

static int set_state_in(const struct store *store, xs_transaction_t transaction, uint32_t state) {
        const char text[] = { (char) ('0' + state), '\0' };

        return nodes_write(store->xs, transaction, store->backend, "state", text);
}

int store_set_state(const struct store *store, enum xenbus_state state) {
        return write_there(store, set_state_in, state);
}

void store_set_error(const struct store *store, const char *reason) {
        char directory[NODES_PATH_MAX];

        snprintf(directory, sizeof directory, "error/%s", store->backend);
        (void) nodes_write(store->xs, XBT_NULL, directory, "error", reason);
}

int store_read_offer(const struct store *store, struct guest_offer *ret_offer, const char **ret_reason) {
        AUTO_FREE char *version = nodes_read(store->xs, store->frontend, "version");
        AUTO_FREE char *ring_ref = nodes_read(store->xs, store->frontend, "ring-ref"), *port = nodes_read(store->xs, store->frontend, "port");
        AUTO_FREE char *suppress = nodes_read(store->xs, store->frontend, FEATURE_SUPPRESSION);
        struct guest_offer offer = { .suppress = suppress && strcmp(suppress, "1") == 0 };

        *ret_reason = NULL;
        if (!version || strcmp(version, "1") != 0)
                *ret_reason = "its version is not 1";
        else if (nodes_parse_number(ring_ref, &offer.ring_ref) < 0)
                *ret_reason = "its ring-ref is no grant reference";
        else if (nodes_parse_number(port, &offer.port) < 0)
                *ret_reason = "its port is no event channel's";
        if (*ret_reason)
                return -EBADMSG;
        *ret_offer = offer;
        return 0;
}
