/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The policy in force. The hub reads the files, at its start and when it is told to, and has the processes use the very same, of which they have a copy:
 * they read no files, and what the hub answers about the policy is what they do, whatever has been written meanwhile.
 *
 * Who has it read again may do so to take something away from somebody, and is not answered before it is: when all processes have said that the new one
 * holds. There is no going back to the old one, and no answer that it holds in some: a process that cannot say so is as good as dead, and is made so.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bridge-policy.h"
#include "bridge1-manager.h"
#include "cleanup.h"
#include "hub.h"
#include "idl-errors.h"

#define RELOAD_USEC 5000000             /* for processes to take a new policy, of which none waits for anybody but the bus */

static int load(struct hub *hub, int fd, struct bridge_policy **ret_policy, char *text, size_t n_text) {
        const char *paths[HUB_POLICIES_MAX + 1] = { NULL };
        struct bridge_policy_error error = { .line = 0 };
        int r;

        for (size_t i = 0; i < hub->options->n_policies; i++)
                paths[i] = hub->options->policies[i];
        r = bridge_policy_copy(paths, fd, ret_policy, &error);
        if (r < 0 && error.line > 0)
                snprintf(text, n_text, "%s:%u:%u: %s", error.file, error.line, error.column, error.text);
        else if (r < 0)
                snprintf(text, n_text, "%s: %s", error.file, error.text);
        return r;
}

int hub_policy_load(struct hub *hub, char *text, size_t n_text) {
        AUTO_CLOSE int memory = memfd_create("xcp-bridge-policy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        struct bridge_policy *policy;
        int fd, r;

        snprintf(text, n_text, "there is no memory for it");
        if (memory < 0)
                return -errno;
        r = load(hub, memory, &policy, text, n_text);
        if (r < 0)
                return r;
        fd = fcntl(memory, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0 ? -1 :
             fcntl(memory, F_DUPFD_CLOEXEC, CONTROL_POLICY_FD + 1);     /* none that it could be taken for in a process */
        if (fd < 0) {
                bridge_policy_free(policy);
                return -errno;
        }
        if (bridge_policy_count(policy) == 0)
                log_event(LOG_NOTICE, NULL, "The policy has no rules, so that nothing passes: %s", hub->options->policies[0]);
        hub_policy_free(hub);
        hub->policy = policy;
        hub->policy_fd = fd;
        return 0;
}

void hub_policy_free(struct hub *hub) {
        bridge_policy_free(hub->policy);
        hub->policy = NULL;
        if (hub->policy_fd >= 0)
                close(hub->policy_fd);
        hub->policy_fd = -1;
}

/* Reading it again */

struct hub_reload {
        struct hub_reload *next;
        struct hub *hub;
        uint32_t generation;
        struct idl_call *call;
        sd_event_source *deadline;
};

static bool is_in_force(struct hub_link *link, uint32_t generation) {
        return link->pid == 0 || link->policy_generation >= generation;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        struct hub_reload *reload = userdata;
        struct hub_link *link;
        size_t iterator = 0;

        while ((link = table_next(reload->hub->by_domain, &iterator)))
                if (!is_in_force(link, reload->generation))
                        hub_link_kill(link, "did not take a new policy");
        return 0;                       /* it is answered when they have ended */
}

static int reload_new(struct hub *hub, struct idl_call *call) {
        struct hub_reload *reload = calloc(1, sizeof *reload);
        int r;

        if (!reload)
                return -ENOMEM;
        r = sd_event_add_time_relative(hub->event, &reload->deadline, CLOCK_MONOTONIC, RELOAD_USEC, 0, on_deadline, reload);
        if (r < 0) {
                free(reload);
                return r;
        }
        reload->hub = hub;
        reload->generation = hub->policy_generation + 1;
        reload->call = idl_call_ref(call);
        reload->next = hub->reloads;
        hub->reloads = reload;
        return 0;
}

/* Takes the first out of a list. */
static void reload_free(struct hub_reload **reloads) {
        struct hub_reload *reload = *reloads;

        *reloads = reload->next;
        sd_event_source_disable_unref(reload->deadline);
        idl_call_unref(reload->call);
        free(reload);
}

void hub_policy_settled(struct hub *hub) {
        struct hub_reload **p = &hub->reloads;

        while (*p) {
                struct hub_link *link;
                size_t iterator = 0;

                while ((link = table_next(hub->by_domain, &iterator)) && is_in_force(link, (*p)->generation))
                        ;
                if (link)
                        p = &(*p)->next;
                else {
                        bridge1_manager_reply_reload_policy((*p)->call);
                        reload_free(p);
                }
        }
}

int hub_policy_reload(struct hub *hub, struct idl_call *call, struct idl_error *error) {
        struct hub_link *link;
        size_t iterator = 0;
        char text[512];
        int r;

        r = hub_policy_load(hub, text, sizeof text);
        if (r < 0)
                return idl_error_set_invalid_argument(error, "policy", text, "is not a policy");
        r = reload_new(hub, call);
        hub->policy_generation++;
        while ((link = table_next(hub->by_domain, &iterator)))
                hub_link_send_policy(link);
        bridge1_manager_emit_changed(hub->bus, service_path(hub->service), BRIDGE1_MANAGER_PROPERTY_POLICY_GENERATION);
        hub_policy_settled(hub);        /* there may be no process */
        return r;
}

void hub_policy_forget_reloads(struct hub *hub) {
        while (hub->reloads)
                reload_free(&hub->reloads);
}
