/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The hub as a service: docs/writing-a-service.md. */

#include "hub.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>


#define STOP_USEC 2000000               /* for the processes to give all that wait their errors */

static const struct hub_options *hub_options;   /* main's: services get none of their own from service_main() */

/* The socket in an address such as unix:path=/run/xcpbus/dom0/bus; D-Bus Specification, "Server Addresses". */
static int socket_of(const char *address, char **ret_path) {
        static const char path_key[] = "unix:path=", abstract_key[] = "unix:abstract=";
        char *path, *p;

        if (strncmp(address, path_key, sizeof path_key - 1) == 0)
                address += sizeof path_key - 1;
        else if (strncmp(address, abstract_key, sizeof abstract_key - 1) == 0)
                address += sizeof abstract_key - 2;     /* the '=' becomes the '@' */
        else
                return -EPROTONOSUPPORT;
        p = path = strdup(address);
        if (!path)
                return -ENOMEM;
        if (*address == '=') {
                *p++ = '@';
                address++;
        }
        for (; *address && *address != ',' && *address != ';'; address++) {
                unsigned byte;

                if (*address == '%' && sscanf(address + 1, "%2x", &byte) == 1) {
                        *p++ = (char) byte;
                        address += 2;
                } else
                        *p++ = *address;
        }
        *p = '\0';
        *ret_path = path;
        return 0;
}

static void on_found(void *userdata, const struct hub_found *domain) {
        int r = hub_link_new(userdata, domain);

        if (r < 0)
                log_event(LOG_ERR, NULL, "Domain %u cannot be joined: %s", domain->domain, strerrordesc_np(-r));
}

static void on_lost(void *userdata, unsigned domain) {
        struct hub *hub = userdata;
        struct hub_link *link = table_get_number(hub->by_domain, domain);

        if (link)
                hub_link_remove(link);
}

static int make(struct hub *hub) {
        const char *address;
        char text[512];
        int r;

        r = table_new(&hub->by_domain);
        if (r >= 0)
                r = table_new(&hub->peers);
        if (r >= 0)
                r = table_new(&hub->names);
        if (r >= 0)
                r = sd_bus_get_address(hub->bus, &address);
        if (r >= 0)
                r = socket_of(address, &hub->bus_path);
        if (r < 0)
                return r;
        r = hub_policy_load(hub, text, sizeof text);
        if (r < 0) {
                log_event(LOG_ERR, NULL, "%s", text);
                return r;
        }
        hub->policy_generation = 1;
        return hub_activation_new(hub);
}

static int hub_start(struct service *service, void **ret_userdata) {
        struct hub *hub = calloc(1, sizeof *hub);
        sigset_t set;
        int r;

        if (!hub)
                return -ENOMEM;
        *ret_userdata = hub;
        hub->service = service;
        hub->bus = service_bus(service);
        hub->event = service_event(service);
        hub->options = hub_options;
        hub->news_fd = hub->policy_fd = -1;
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)     /* as sd_event_add_child(3) asks for */
                return -errno;
        r = make(hub);
        if (r < 0)
                return r;
        r = hub_wants_new(hub);
        if (r >= 0)
                r = hub_monitor_new(hub);
        if (r < 0)
                return r;
        r = hub_store_new(&hub->store, hub->event, on_found, on_lost, hub);
        if (r < 0)
                return r;
        hub->own_domain = hub_store_own_domain(hub->store);
        hub->own_uuid = strdup(hub_store_own_uuid(hub->store));
        if (!hub->own_uuid)
                return -ENOMEM;
        r = hub_objects_export(hub);
        return r < 0 ? r : hub_store_start(hub->store, hub->options->links, hub->options->n_links);
}

/* Lets the processes end by themselves: they say goodbye, and give all that wait their errors. */
static void wait_for_processes(struct hub *hub) {
        static const struct timespec moment = { .tv_nsec = 2000000 };
        struct hub_link *link;
        size_t iterator = 0;
        bool left = true;

        while ((link = table_next(hub->by_domain, &iterator)))
                hub_link_end(link, "the bridge is stopping");
        for (unsigned usec = 0; left && usec < STOP_USEC; usec += 2000) {
                left = false;
                for (iterator = 0; (link = table_next(hub->by_domain, &iterator));) {
                        if (link->pid > 0 && waitpid(link->pid, NULL, WNOHANG) == link->pid)
                                link->pid = 0;
                        left |= link->pid > 0;
                }
                if (left)
                        nanosleep(&moment, NULL);
        }
}

static void hub_stop(void *userdata) {
        struct hub *hub = userdata;
        struct hub_link *link;
        size_t iterator = 0;

        hub->stopping = true;
        if (hub->by_domain)
                wait_for_processes(hub);
        while (hub->by_domain && (link = table_next(hub->by_domain, &iterator)))
                hub_link_free(link);
        hub_store_free(hub->store);
        hub_activation_free(hub);
        hub_monitor_free(hub);
        hub_wants_free(hub);
        hub_policy_forget_reloads(hub);
        hub_policy_free(hub);
        objects_free(hub->links);
        table_free(hub->by_domain);
        table_free(hub->peers);
        table_free(hub->names);
        if (hub->news)
                munmap(hub->news, sizeof *hub->news);
        if (hub->news_fd >= 0)
                close(hub->news_fd);
        free(hub->bus_path);
        free(hub->own_uuid);
        free(hub);
}

static void hub_dump(void *userdata, FILE *f) {
        struct hub *hub = userdata;
        struct hub_link *link;
        size_t iterator = 0;

        fprintf(f, "domain %u, %zu links\n", hub->own_domain, table_count(hub->by_domain));
        while ((link = table_next(hub->by_domain, &iterator)))
                fprintf(f, "domain %u: %s, %s, epoch %llu, process %d, %zu peers, %zu names\n", link->domain,
                        xcp_link_state_to_string(link->state), link->reason, (unsigned long long) link->epoch, link->pid, link->n_peers,
                        link->n_names);
}

static const struct service_kind hub_kind = {
        .name = "bridge",
        .about = "Joins this domain's bus to those of other domains.",
        .features = (const char *const[]) { "activation", "move-service", NULL },
        .start = hub_start,
        .stop = hub_stop,
        .dump = hub_dump,
};

int hub_run(const struct hub_options *options, int argc, char **argv) {
        hub_options = options;
        return service_main(&hub_kind, argc, argv);
}
