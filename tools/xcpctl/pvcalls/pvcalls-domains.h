/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Domains that have PV Calls, as the controller's objects tell of them. */

#include "client.h"

#define ATTACHED_INTERFACE "org.xen.xcp.pvcalls1.Domain"

struct pvcalls_domain {
        char *path;
        guint32 id;
        GVariant *properties;           /* a{sv} */
};

/* All of them, as struct pvcalls_domain, by their ids. NULL with an error. */
GPtrArray *pvcalls_domains(struct context *context, GError **error);

/* A property that is text; "" if it is not there. To be freed. */
char *pvcalls_domain_text(const struct pvcalls_domain *domain, const char *name);

/* Its counters, a{st}; NULL if it does not answer, or has just gone. */
GVariant *pvcalls_domain_counters(struct context *context, const struct pvcalls_domain *domain);
