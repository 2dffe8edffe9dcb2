/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bridge-top.h"

#include "bridge-links.h"
#include "top.h"

static const struct top_column columns[] = {
        { "PEERS", { "peers" }, true, QUANTITY_PLAIN },
        { "CALLS IN", { "calls.in" }, false, QUANTITY_PLAIN },
        { "CALLS OUT", { "calls.out" }, false, QUANTITY_PLAIN },
        { "SIGNALS", { "signals.in", "signals.out" }, false, QUANTITY_PLAIN },
        { "BYTES IN", { "bytes.in" }, false, QUANTITY_SIZE },
        { "BYTES OUT", { "bytes.out" }, false, QUANTITY_SIZE },
        { "DENIED", { "denied.in", "denied.out" }, false, QUANTITY_PLAIN },
        { "WAITING", { "calls.waiting.in", "calls.waiting.out" }, true, QUANTITY_PLAIN },
        { "QUEUED", { "bytes.queued.out" }, true, QUANTITY_SIZE },
        { "ROUND TRIP", { "round-trip-us" }, true, QUANTITY_DURATION_US },
        {},
};

static bool add_rows(struct context *context, GPtrArray *rows, GError **error) {
        g_autoptr(GPtrArray) links = bridge_links(context, error);

        for (unsigned i = 0; links && i < links->len; i++) {
                const struct bridge_link *link = links->pdata[i];

                top_row(rows, link->domain, link->epoch, link->state, bridge_link_counters(context, link));
        }
        return links;
}

bool bridge_top_run(struct context *context, const struct arguments *arguments, GError **error) {
        static const struct top_kind kind = { columns, { "messages.in", "messages.out" }, true, add_rows };

        return top_run(&kind, context, arguments, error);
}
