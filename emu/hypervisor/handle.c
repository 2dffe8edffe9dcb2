/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What an open device file owns; see handle.h. */

#include "handle.h"

#include <errno.h>
#include <stdlib.h>

int handle_new(struct domain *domain, struct handle **ret_handle) {
        struct handle *handle;

        if (domain->n_handles >= domain->limits.handles)
                return -EMFILE;

        handle = calloc(1, sizeof *handle);
        if (!handle)
                return -ENOMEM;

        handle->domain = domain;
        handle->restricted_domid = HANDLE_UNRESTRICTED;
        LIST_INIT(&handle->ports);
        LIST_INSERT_HEAD(&domain->handles, handle, of_domain);
        domain->n_handles++;
        *ret_handle = handle;
        return 0;
}

struct handle *handle_free(struct handle *handle) {
        struct mapping *mapping;
        struct share *share;
        struct port *port;

        if (!handle)
                return NULL;

        for (uint32_t i = 0; (mapping = slots_next(&handle->mappings, &i)); i++)
                mapping_end(mapping);
        for (uint32_t i = 0; (share = slots_next(&handle->shares, &i)); i++)
                share_end(share);
        while ((port = LIST_FIRST(&handle->ports)))
                handle_close_port(handle, port);

        slots_done(&handle->mappings);
        slots_done(&handle->shares);
        LIST_REMOVE(handle, of_domain);
        handle->domain->n_handles--;
        free(handle);
        return NULL;
}

void handle_add_port(struct handle *handle, struct port *port) {
        port->handle = handle;
        LIST_INSERT_HEAD(&handle->ports, port, of_handle);
}

struct port *handle_find_port(struct handle *handle, uint32_t untrusted_number) {
        struct port *port = slots_get(&handle->domain->ports, untrusted_number);

        return port && port->handle == handle ? port : NULL;
}

void handle_close_port(struct handle *handle, struct port *port) {
        LIST_REMOVE(port, of_handle);
        port->handle = NULL;
        port_unref(port);
}
