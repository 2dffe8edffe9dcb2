/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Operations: commands that are one method of the contract.
 *
 * The command's first argument is the object (with a disk or network interface, the first two), unless the method is a manager's. The
 * other parameters are the method's arguments, in their order; those with a key belong to its record.
 */

#include "client.h"
#include "command.h"

/* For struct command's .run. */
bool operation_run(struct context *context, const struct arguments *arguments, GError **error);

/* The same with arguments and descriptors that the command has made itself. arguments: a tuple; consumed if floating. */
bool operation_call(struct context *context, const struct arguments *arguments, GVariant *inputs, GUnixFDList *fds, GError **error);

/* The parameter for the method's argument number i; NULL if the command has none. */
const struct parameter *operation_parameter(const struct command *command, unsigned i);

#define OPERATION(interface_name, method_name) .run = operation_run, .interface = interface_name, .method = method_name
