/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Callers: who has left the bus.
 *
 * One match rule for all of them. sd_bus_track takes one for each peer, and dbus-daemon allows a connection 512 by default; the price
 * is a wake-up whenever anybody leaves, which on a private bus is seldom.
 */

#include <systemd/sd-bus.h>

struct callers;

/* A connection with this unique name is gone. */
typedef void (*callers_gone_t)(const char *caller, void *userdata);

int callers_new(struct callers **ret_callers, sd_bus *bus, callers_gone_t gone, void *userdata);
struct callers *callers_free(struct callers *callers);

/*
 * Asks the bus whether a caller is still there, for those who may have left before anybody watched. If not, gone is called for it, later.
 */
int callers_check(struct callers *callers, const char *caller);

static inline void callers_freep(struct callers **callers) {
        callers_free(*callers);
}
