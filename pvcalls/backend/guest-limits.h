/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How much a guest may have, as the record PvcallsLimits of idl/types.xml says it, and what it has had so far. */

#include <stdint.h>

#include "layout.h"

struct limits {
        uint32_t sockets;               /* at once, whatever their state */
        uint32_t sockets_per_second;
        uint64_t bytes_per_second;      /* both ways, of all sockets together; 0: no limit */
        uint32_t max_page_order;
};

#define LIMITS_DEFAULT ((struct limits) { .sockets = 1024, .sockets_per_second = 1000, .max_page_order = PVCALLS_ORDER_MAX })

/* X(name, what) */
#define COUNTERS(X)                                     \
        X(commands, "commands")                         \
        X(unknown_commands, "commands.unknown")         \
        X(sockets, "sockets.made")                      \
        X(connected, "sockets.connected")               \
        X(accepted, "sockets.accepted")                 \
        X(connect_failed, "sockets.connect-failed")     \
        X(denied, "denied")                             \
        X(limited, "limited")                           \
        X(lingered, "sockets.linger-ended")             \
        X(received, "bytes.received")                   \
        X(sent, "bytes.sent")                           \
        X(notifications, "notifications.sent")          \
        X(events, "notifications.received")             \
        X(connections, "frontend.connected")            \
        X(violations, "frontend.violations")

struct counters {
#define COUNTERS_MEMBER(name, text) uint64_t name;
        COUNTERS(COUNTERS_MEMBER)
#undef COUNTERS_MEMBER
};
