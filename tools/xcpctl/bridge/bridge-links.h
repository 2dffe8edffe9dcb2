/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The bridge's links, as its objects tell of them. */

#include "client.h"

#define LINK_INTERFACE "org.xen.xcp.bridge1.Link"

struct bridge_link {
        char *path;
        guint32 domain;
        guint64 epoch;
        char *state, *reason, *uuid;    /* "" for what is not said */
        GVariant *properties;           /* a{sv} */
};

/* All of them, as struct bridge_link, by the ids of their domains. NULL with an error. */
GPtrArray *bridge_links(struct context *context, GError **error);

/* The counters of one, a{st}; NULL if it does not answer, or has just gone. */
GVariant *bridge_link_counters(struct context *context, const struct bridge_link *link);
