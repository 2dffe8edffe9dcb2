/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Results: what methods and tasks return, shown to people or printed as JSON. */

#include "client.h"
#include "contract.h"

/*
 * The results of a call, a tuple; outputs: what they are, as many. A task is waited for, unless nobody wants to, and its result shown,
 * which is of the record task_record (NULL if unknown).
 */
bool result_show(struct context *context, const char *service, const struct contract_value *outputs, const char *task_record,
                 GVariant *results, GError **error);

/* One value. name: what it is called; type: of the contract, or NULL. Lists of structures and records become tables. */
bool result_show_value(struct context *context, GVariant *value, const char *type, const char *name, GError **error);

/* Lines of NAME and VALUE. */
struct table *result_pairs_new(void);
void result_pairs_add(struct table *pairs, const char *name, GVariant *value, const char *type);
bool result_pairs_print(struct context *context, const struct table *pairs, GError **error);

/* Adds the properties of an interface, in the order of the contract as far as it is known. */
void result_pairs_add_properties(struct table *pairs, const char *interface, GVariant *properties);
