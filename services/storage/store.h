/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the storage service keeps in its database: all that struct sr and struct vdi hold, and intents.
 *
 * Negative errnos are those of database.h.
 */

#include "driver.h"
#include "storage.h"

extern const struct database_schema store_schema;

/* Everything, into a storage without anything. Says why in the log. */
int store_load(struct storage *storage);

int store_add_sr(const struct sr *sr, const char *pending);
int store_set_sr(const struct sr *sr);                          /* name, description */
int store_set_sr_attached(const struct sr *sr, bool attached);
int store_set_sr_pending(const struct sr *sr, const char *pending);
int store_remove_sr(const struct sr *sr);

int store_add_vdi(const struct vdi *vdi);
int store_set_vdi(const struct vdi *vdi);                       /* name, description, size, flags, parent */
int store_set_vdi_limits(const struct vdi *vdi);
int store_set_labels(const struct vdi *vdi);
int store_remove_vdi(const struct vdi *vdi);

int store_set_data_path(const struct vdi *vdi, const struct data_path *path, const char *keeper);
int store_set_keeper(struct storage *storage, const char *vdi, const char *reader, const char *keeper);         /* of what serves it; "": nobody */
int store_remove_data_path(const struct vdi *vdi, const char *reader);

int store_add_intent(const struct sr *sr, const struct intent *intent);
int store_remove_intent(struct storage *storage, const struct intent *intent);

/* Those of a storage repository, in an arena. */
int store_intents(const struct sr *sr, struct idl_arena *arena, struct intent **ret_intents);
