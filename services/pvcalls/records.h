/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the controller keeps in its database: which domains are attached, or were about to be, and how. */

#include "domain.h"

extern const struct database_schema records_schema;

int records_add(const struct domain *domain);
int records_set_phase(const struct domain *domain);
int records_set_policy(const struct domain *domain);
int records_set_limits(const struct domain *domain);
int records_set_backend(const struct domain *domain);
int records_remove(const struct domain *domain);

/* All of them, as domains without a seat. */
int records_load(struct pvcalls *pvcalls);
