/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.xen.xcp.pvcalls1.Manager. */

#include <stdio.h>

#include "domain.h"
#include "idl-errors.h"
#include "pvcalls1-manager.h"

static int on_attach(void *object, struct idl_call *call, uint32_t id, const struct xcp_pvcalls_options *options, struct idl_error *error) {
        const char *task;
        int r;

        r = domain_attach(object, call, id, options, &task, error);
        return r < 0 ? r : pvcalls1_manager_reply_attach(call, task);
}

static int on_lookup_domain(void *object, struct idl_call *call, uint32_t id, struct idl_error *error) {
        const struct domain *domain = domain_find(object, id);
        char text[12];

        if (domain && domain->path)
                return pvcalls1_manager_reply_lookup_domain(call, domain->path);
        snprintf(text, sizeof text, "%u", id);
        return idl_error_set_does_not_exist(error, "attached domain", text);
}

static const struct pvcalls1_manager_handlers handlers = {
        .attach = on_attach,
        .lookup_domain = on_lookup_domain,
};

int manager_export(struct pvcalls *pvcalls) {
        return pvcalls1_manager_export(pvcalls->bus, NULL, service_path(pvcalls->service), &handlers, pvcalls);
}
