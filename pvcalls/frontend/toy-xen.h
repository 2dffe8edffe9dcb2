/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Xen's libraries without Xen, as far as the frontend uses them: grants, event channels and the store of one domain, in this process. So a test or a
 * fuzz target is the other domain, which can do what it likes with what it was granted, and then count what is left.
 *
 * Misuse by the frontend, such as an unbound port that is notified or pages that are taken back twice, aborts.
 */

#include <stdbool.h>
#include <stdint.h>

#define TOY_SHARES_MAX 512u
#define TOY_PORTS_MAX 256u

/* All as at the start: no page, no port, no node. */
void toy_xen_init(void);

/* Writes a node, or removes it (NULL), and fires the watches. */
void toy_xen_write(const char *path, const char *value);
void toy_xen_write_number(const char *path, uint32_t value);

/* A node's number; 0 if there is none. */
uint32_t toy_xen_read(const char *path);

/* The page that was granted with this reference. NULL: none was. */
void *toy_xen_page(uint32_t ref);

/* An event for a port, whatever it is. */
void toy_xen_event(uint32_t port);

/* How many more pages and ports there are to be had: without limit at first. */
void toy_xen_limit(unsigned pages, unsigned ports);

/* What is in use. */
unsigned toy_xen_pages(void);
unsigned toy_xen_ports(void);
