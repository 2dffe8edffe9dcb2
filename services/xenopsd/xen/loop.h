/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Libxl on the event loop: a context whose hooks are sd-event's, and what it tells of domains.
 *
 * What goes through this context is short: an event is a watch to read and a list of domains to get from Xen, and a guest that is asked for
 * something is a node to write. Libxl waits a minute for a guest to take notice, which is nothing for a thread to wait for.
 */

#include <libxl.h>
#include <systemd/sd-event.h>

struct loop;

/* A domain has shut down (reason: enum libxl_shutdown_reason), or is gone (-1). */
typedef void (*loop_on_domain_t)(void *userdata, int reason);

int xen_loop_new(struct loop **ret_loop, sd_event *event);
struct loop *xen_loop_free(struct loop *loop);

/* A domain to be told of; to be freed before the loop. An end that came before is told of from the event loop. */
struct loop_domain;

int xen_loop_domain_new(struct loop_domain **ret_domain, struct loop *loop, uint32_t domid, loop_on_domain_t on_domain, void *userdata);
struct loop_domain *xen_loop_domain_free(struct loop_domain *domain);

/* Asks its guest. 0: it was; else libxl's error, ERROR_NOPARAVIRT of a guest without drivers for Xen. */
int xen_loop_ask_poweroff(struct loop *loop, uint32_t domid);   /* of such a guest it is the power button */
int xen_loop_ask_reboot(struct loop *loop, uint32_t domid);
