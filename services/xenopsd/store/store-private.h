/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the store's files share. */

#include "store.h"

struct store {
        struct database *db, *live;
        bool is_new_boot;
};

/* Configurations as bytes. The message and the arena have to live as long as what is read. */
int store_write_spec(sd_bus *bus, const struct xcp_vm_spec *spec, void **ret_data, size_t *ret_size);
int store_read_spec(const void *data, size_t size, struct idl_arena *arena, sd_bus_message *message, struct xcp_vm_spec *ret_spec);

/* Changes a VM within a transaction. */
int store_update_vm(struct store *store, sd_bus *bus, const struct xcp_vm_spec *spec, struct idl_error *error);
