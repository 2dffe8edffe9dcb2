/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "rendezvous.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>

#include <xenstore.h>

#include "cleanup.h"
#include "log.h"

#define PATH_SIZE 80                    /* more than "/local/domain/32751/data/xcp-bridge/32751/request" */

struct rendezvous {
        const struct rendezvous_handlers *handlers;
        void *userdata;
        sd_event *event;
        sd_event_source *io;
        struct xs_handle *store;
        struct vchan *vchan;            /* until it is open */
        unsigned own_domain, domain;
        bool serves, met;
        char *request;                  /* the client's number: ours, or that which the ring is for */
        char own[PATH_SIZE];            /* what we write: "serves" or "request" */
        char others[PATH_SIZE];         /* what the other domain writes */
        char ring[PATH_SIZE];
};

static int write_node(struct rendezvous *rendezvous, const char *value) {
        struct xs_permissions permissions[] = {
                { .id = rendezvous->own_domain, .perms = XS_PERM_NONE },
                { .id = rendezvous->domain, .perms = XS_PERM_READ },
        };

        /* Nobody can read it before it says whom it is for, and a watch fires again when that changes. */
        if (!xs_write(rendezvous->store, XBT_NULL, rendezvous->own, value, (unsigned) strlen(value)) ||
            !xs_set_permissions(rendezvous->store, XBT_NULL, rendezvous->own, permissions, 2)) {
                int r = errno ? -errno : -EIO;

                log_event(LOG_ERR, NULL, "Cannot write '%s' to the store: %s", rendezvous->own, strerrordesc_np(-r));
                return r;
        }
        return 0;
}

static void meet(struct rendezvous *rendezvous) {
        struct vchan *vchan = rendezvous->vchan;

        rendezvous->vchan = NULL;
        rendezvous->met = true;
        rendezvous->handlers->met(rendezvous->userdata, vchan);
}

static void on_vchan(void *userdata) {
        struct rendezvous *rendezvous = userdata;

        if (rendezvous->met)
                rendezvous->handlers->on_event(rendezvous->userdata);
        else if (rendezvous->vchan && vchan_state(rendezvous->vchan) == VCHAN_OPEN)
                meet(rendezvous);
        /* A client that has come and gone already asks again, with another number. */
}

/* The server: a new ring for each number. */
static int serve(struct rendezvous *rendezvous, char *untrusted_request) {
        int r;

        free(rendezvous->request);
        rendezvous->request = untrusted_request;        /* only compared, and repeated to who wrote it */
        rendezvous->vchan = vchan_free(rendezvous->vchan);
        r = vchan_serve(&rendezvous->vchan, rendezvous->event, rendezvous->domain, rendezvous->ring, on_vchan, rendezvous);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot offer a ring to domain %u: %s", rendezvous->domain, strerrordesc_np(-r));
                return r;
        }
        return write_node(rendezvous, rendezvous->request);
}

/* The client: the ring for its own number. */
static int connect_ring(struct rendezvous *rendezvous) {
        int r;

        r = vchan_connect(&rendezvous->vchan, rendezvous->event, rendezvous->domain, rendezvous->ring, on_vchan, rendezvous);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "Cannot take the ring that domain %u offers: %s", rendezvous->domain, strerrordesc_np(-r));
                return r;
        }
        meet(rendezvous);
        return 0;
}

/* The other domain's node has changed, or may have. */
static int look(struct rendezvous *rendezvous) {
        unsigned n;
        char *untrusted_value;
        bool same;

        untrusted_value = xs_read(rendezvous->store, XBT_NULL, rendezvous->others, &n);
        if (!untrusted_value || n == 0) {
                free(untrusted_value);
                return 0;
        }
        same = rendezvous->request && strcmp(untrusted_value, rendezvous->request) == 0;
        if (rendezvous->serves && !same) {
                if (!rendezvous->met)
                        return serve(rendezvous, untrusted_value);
                rendezvous->handlers->over(rendezvous->userdata, 0);
        }
        free(untrusted_value);
        return !rendezvous->serves && same && !rendezvous->met ? connect_ring(rendezvous) : 0;
}

static int on_store(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        struct rendezvous *rendezvous = userdata;
        char **change;
        int r = 0;

        while (r == 0 && (change = xs_check_watch(rendezvous->store))) {
                free(change);
                r = look(rendezvous);
        }
        if (r == 0 && errno != EAGAIN)
                r = -EPIPE;
        if (r < 0) {
                rendezvous->io = sd_event_source_disable_unref(rendezvous->io);
                rendezvous->handlers->over(rendezvous->userdata, r);
        }
        return 0;
}

static void make_paths(struct rendezvous *rendezvous) {
        unsigned own = rendezvous->own_domain, other = rendezvous->domain;
        unsigned server = rendezvous->serves ? own : other, client = rendezvous->serves ? other : own;

        snprintf(rendezvous->own, PATH_SIZE, "/local/domain/%u/data/xcp-bridge/%u/%s", own, other,
                 rendezvous->serves ? "serves" : "request");
        snprintf(rendezvous->others, PATH_SIZE, "/local/domain/%u/data/xcp-bridge/%u/%s", other, own,
                 rendezvous->serves ? "request" : "serves");
        snprintf(rendezvous->ring, PATH_SIZE, "/local/domain/%u/data/xcp-bridge/%u/ring", server, client);
}

static int ask(struct rendezvous *rendezvous) {
        uint64_t number[2];

        if (getrandom(number, sizeof number, 0) != sizeof number)
                return -EIO;
        if (asprintf(&rendezvous->request, "%016" PRIx64 "%016" PRIx64, number[0], number[1]) < 0) {
                rendezvous->request = NULL;
                return -ENOMEM;
        }
        return write_node(rendezvous, rendezvous->request);
}

static int start(struct rendezvous *rendezvous) {
        int r;

        make_paths(rendezvous);
        rendezvous->store = xs_open(0);
        if (!rendezvous->store)
                return errno ? -errno : -EIO;
        if (rendezvous->serves) {
                /* Of a process that was killed. */
                xs_rm(rendezvous->store, XBT_NULL, rendezvous->ring);
                xs_rm(rendezvous->store, XBT_NULL, rendezvous->own);
        } else {
                r = ask(rendezvous);
                if (r < 0)
                        return r;
        }
        if (!xs_watch(rendezvous->store, rendezvous->others, "other"))
                return errno ? -errno : -EIO;
        return sd_event_add_io(rendezvous->event, &rendezvous->io, xs_fileno(rendezvous->store), EPOLLIN, on_store, rendezvous);
}

int rendezvous_new(struct rendezvous **ret_rendezvous, sd_event *event, unsigned own_domain, unsigned domain,
                   const struct rendezvous_handlers *handlers, void *userdata) {
        struct rendezvous *rendezvous = calloc(1, sizeof *rendezvous);
        int r;

        if (!rendezvous)
                return -ENOMEM;
        rendezvous->event = sd_event_ref(event);
        rendezvous->own_domain = own_domain;
        rendezvous->domain = domain;
        rendezvous->serves = own_domain > domain;
        rendezvous->handlers = handlers;
        rendezvous->userdata = userdata;
        r = start(rendezvous);
        if (r < 0) {
                rendezvous_free(rendezvous);
                return r;
        }
        *ret_rendezvous = rendezvous;
        return 0;
}

/* What is written, and the directory if nothing else is in there: nobody else removes it, and domain 0 has one for every domain. */
static void clean_up(struct rendezvous *rendezvous) {
        char *slash = strrchr(rendezvous->own, '/');
        unsigned n = 0;
        char **names;

        xs_rm(rendezvous->store, XBT_NULL, rendezvous->own);
        if (!slash)
                return;
        *slash = '\0';
        names = xs_directory(rendezvous->store, XBT_NULL, rendezvous->own, &n);
        if (names && n == 0)
                xs_rm(rendezvous->store, XBT_NULL, rendezvous->own);
        free(names);
}

struct rendezvous *rendezvous_free(struct rendezvous *rendezvous) {
        if (!rendezvous)
                return NULL;
        vchan_free(rendezvous->vchan);
        sd_event_source_disable_unref(rendezvous->io);
        if (rendezvous->store) {
                clean_up(rendezvous);
                xs_close(rendezvous->store);
        }
        sd_event_unref(rendezvous->event);
        free(rendezvous->request);
        free(rendezvous);
        return NULL;
}
