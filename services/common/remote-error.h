/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Errors of other services, as errors of ours. */

#include <systemd/sd-bus.h>

#include "idl.h"

/* Of a reply. service: whom it is from, for errors that are the bus's. Returns a negative errno. */
int remote_error_from_reply(struct idl_error *error, const char *service, const sd_bus_error *from);

/* Of a task: reads the (ssa{sv}) at which the message is. Returns a negative errno. */
int remote_error_read(struct idl_error *error, const char *service, sd_bus_message *message);
