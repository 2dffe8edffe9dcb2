/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What callers are told when a database fails. */

#include "database.h"
#include "error.h"

/*
 * Makes an error of a negative errno of database.h: NotEnoughSpace, ReadOnly, Corrupt, OutOfMemory, and otherwise Internal with the
 * database's own words. An error that is set already stays. Tells the log, since whatever it is, it is not the caller's fault.
 * Returns r. Constraints (-EEXIST, -EINVAL) mean something only to who made them: handle these before.
 */
int database_set_error(struct database *db, int r, struct idl_error *error);
