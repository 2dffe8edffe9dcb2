/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* For tests: domains that make hypercalls, packet by packet, and what the last reply to one says. */

#include <stddef.h>
#include <stdint.h>

#include "hypercall.h"
#include "test-machine.h"

struct callers {
        struct machine machine;
        struct handle *handles[MACHINE_DOMAINS]; /* one of each domain */
        struct reply reply;
};

struct map_request {
        struct emu_map header;
        struct emu_map_page pages[EMU_MAP_PAGES_MAX + 1];
};

void callers_set_up(struct callers *f, gconstpointer data);
void callers_tear_down(struct callers *f, gconstpointer data);

/* Says n bytes of packet, in memory that ends where they end. Returns what hypercall() does, as all below do. */
int call_packet(struct callers *f, struct handle *handle, const void *packet, size_t n);

/* An operation with its argument. */
int call(struct callers *f, struct handle *handle, uint32_t op, const void *argument, size_t n_argument);
int call_id(struct callers *f, struct handle *handle, uint32_t op, uint32_t id);
int call_remote(struct callers *f, struct handle *handle, uint32_t op, uint32_t domid, uint32_t port);
int call_virq(struct callers *f, struct handle *handle, uint32_t virq);
int call_share(struct callers *f, struct handle *handle, uint32_t domid, uint32_t count, uint32_t flags);
int call_notify(struct callers *f, struct handle *handle, struct emu_notify argument);
int call_map(struct callers *f, struct handle *handle, const struct map_request *request);

/* The reply: n bytes, a port that was bound, the references of count pages, count mapped pages. Each demands that it is one of these. */
const void *reply_body(const struct callers *f, size_t n);
uint32_t reply_port(const struct callers *f);
const struct emu_shared *reply_shared(const struct callers *f, uint32_t count);
const struct emu_mapped *reply_mapped(const struct callers *f, uint32_t count);
