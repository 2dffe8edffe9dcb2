/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Handles: what one open device file of a domain's process owns. When it is closed, by the process or by its death, what it has
 * mapped and shared ends first, with the notifications asked for, and then its ports close, as on Linux.
 */

#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "event.h"
#include "grant.h"

struct handle {
        struct domain *domain;
        LIST_ENTRY(handle) of_domain;

        struct port_list ports;
        struct slots shares;            /* struct share, by the number its owner knows it by */
        struct slots mappings;          /* struct mapping, likewise */
        uint32_t restricted_domid;      /* evtchn.c, IOCTL_EVTCHN_RESTRICT_DOMID; HANDLE_UNRESTRICTED if it is not */
};

#define HANDLE_UNRESTRICTED UINT32_MAX

/* Returns 0 and a handle, -EMFILE if the domain has as many as it may, or -ENOMEM. */
int handle_new(struct domain *domain, struct handle **ret_handle);

/* Ends everything the handle owns. Always returns NULL. */
struct handle *handle_free(struct handle *handle);

/* Makes the handle the owner of a new port. */
void handle_add_port(struct handle *handle, struct port *port);

/* The handle's own port of that number, or NULL. */
struct port *handle_find_port(struct handle *handle, uint32_t untrusted_number);

/* Closes a port of the handle. It lives on while a notification needs it. */
void handle_close_port(struct handle *handle, struct port *port);
