/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "domain.h"

#include <stdlib.h>

#include <libxl_utils.h>

static bool is_it(const libxl_dominfo *info, const libxl_uuid *uuid) {
        return libxl_uuid_compare(&info->uuid, uuid) == 0 && !info->dying;
}

static int find_by_uuid(libxl_ctx *ctx, const libxl_uuid *uuid, struct domain_id *id) {
        int n = 0, rc = ERROR_DOMAIN_NOTFOUND;
        libxl_dominfo *list = libxl_list_domain(ctx, &n);

        for (int i = 0; i < n && list; i++)
                if (is_it(list + i, uuid) && list[i].domid != id->other) {
                        id->domid = list[i].domid;
                        rc = 0;
                }
        if (list)
                libxl_dominfo_list_free(list, n);
        return rc;
}

int xen_domain_find(libxl_ctx *ctx, struct domain_id *id, libxl_dominfo *ret_info) {
        libxl_dominfo info;
        libxl_uuid uuid;
        int rc;

        if (libxl_uuid_from_string(&uuid, id->uuid) != 0)
                return ERROR_INVAL;
        if (id->domid == FACTS_NO_DOMAIN && (rc = find_by_uuid(ctx, &uuid, id)) != 0)
                return rc;
        libxl_dominfo_init(&info);
        rc = libxl_domain_info(ctx, &info, id->domid);
        if (rc == 0 && !is_it(&info, &uuid))
                rc = ERROR_DOMAIN_NOTFOUND;
        if (rc == 0 && ret_info)
                *ret_info = info;
        else
                libxl_dominfo_dispose(&info);
        return rc;
}

int xen_domain_remove(libxl_ctx *ctx, const struct domain_id *id) {
        struct domain_id found = *id;
        int rc;

        rc = xen_domain_find(ctx, &found, NULL);
        if (rc == 0)
                rc = libxl_domain_destroy(ctx, found.domid, NULL);
        /* It may have been gone, or another toolstack have been faster. */
        return rc != 0 && xen_domain_find(ctx, &found, NULL) == ERROR_DOMAIN_NOTFOUND ? 0 : rc;
}

int xen_domain_create(libxl_ctx *ctx, libxl_domain_config *config, struct domain_id *id) {
        uint32_t domid = FACTS_NO_DOMAIN;
        int rc;

        config->c_info.domid = 0;       /* any */
        id->domid = FACTS_NO_DOMAIN;
        rc = libxl_domain_create_new(ctx, config, &domid, NULL, NULL);
        if (rc == 0)
                id->domid = domid;
        else
                (void) xen_domain_remove(ctx, id);  /* as a rule, libxl has */
        return rc;
}
