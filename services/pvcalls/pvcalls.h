/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the PV Calls controller is made of. */

#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "database.h"
#include "nodes.h"
#include "objects.h"
#include "remote-task.h"
#include "service.h"

#define DOMAINS_MAX 1024u               /* attached at once: each is a process, or a task in another domain */

struct domain;

struct pvcalls {
        struct service *service;
        sd_bus *bus;
        sd_event *event;
        struct database *db;
        struct nodes nodes;
        struct objects *objects;        /* attached domains */
        struct domain *domains;         /* all of them, whatever their phase */
        size_t n_domains;
        struct remote_tasks *remote_tasks;
        int state_fd;                   /* the directory in which backends run; their sockets and policies are there */
        const char *backend_program;
        uint64_t n_attached, n_detached, n_died, n_restarted, n_denied;        /* told by diagnostics */
};

/* manager-object.c, domain-object.c */
int manager_export(struct pvcalls *pvcalls);
int domain_export(struct pvcalls *pvcalls);
