/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "pvcalls-top.h"

#include "pvcalls-domains.h"
#include "top.h"

static const struct top_column columns[] = {
        { "SOCKETS", { "sockets.now" }, true, QUANTITY_PLAIN },
        { "CONNECTED", { "sockets.connected" }, false, QUANTITY_PLAIN },
        { "ACCEPTED", { "sockets.accepted" }, false, QUANTITY_PLAIN },
        { "RECEIVED", { "bytes.received" }, false, QUANTITY_SIZE },
        { "SENT", { "bytes.sent" }, false, QUANTITY_SIZE },
        { "COMMANDS", { "commands" }, false, QUANTITY_PLAIN },
        { "EVENTS", { "notifications.sent", "notifications.received" }, false, QUANTITY_PLAIN },
        { "DENIED", { "denied", "limited" }, false, QUANTITY_PLAIN },
        {},
};

static bool add_rows(struct context *context, GPtrArray *rows, GError **error) {
        g_autoptr(GPtrArray) domains = pvcalls_domains(context, error);

        for (unsigned i = 0; domains && i < domains->len; i++) {
                const struct pvcalls_domain *domain = domains->pdata[i];
                g_autofree char *state = pvcalls_domain_text(domain, "State");

                top_row(rows, domain->id, 0, state, pvcalls_domain_counters(context, domain));
        }
        return domains;
}

bool pvcalls_top_run(struct context *context, const struct arguments *arguments, GError **error) {
        static const struct top_kind kind = { columns, {}, false, add_rows };

        return top_run(&kind, context, arguments, error);
}
