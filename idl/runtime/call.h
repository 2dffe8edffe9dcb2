/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Calls: a method call that is to be answered, once, now or later.
 *
 * A handler gets the call and its arguments, and the arguments belong to the call: strings, arrays, structures and descriptors stay
 * valid as long as somebody has a reference. A handler has three ways to end:
 *
 *         return test1_everything_reply_add(call, a + b);                 answered
 *         return idl_error_set_does_not_exist(error, "VM", name);         refused: any negative value with an error, or an errno
 *         job->call = idl_call_ref(call); return 0;                       later: by reply or idl_call_fail(), then idl_call_unref()
 *
 * Nobody waits for ever: a call whose last reference goes without an answer gets the error Internal, and a second answer is
 * refused with -EALREADY.
 *
 * Calls are counted, and so is the time until their last reference goes: see interface.h.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "arena.h"
#include "error.h"
#include "interface.h"
#include "reader.h"

struct idl_call;

struct idl_call *idl_call_ref(struct idl_call *call);
struct idl_call *idl_call_unref(struct idl_call *call);

/* The message: who sent it (sd_bus_message_get_sender()), to which object, over which bus. */
sd_bus_message *idl_call_message(struct idl_call *call);

/* Memory that ends with the call, as its arguments do. */
struct idl_arena *idl_call_arena(struct idl_call *call);

/* Answers with an error, which has to be set. */
int idl_call_fail(struct idl_call *call, const struct idl_error *error);

/* How many calls were answered with the error idl_error_names[i], or, where i is IDL_ERRORS_N, with one that is not there. */
uint64_t idl_call_n_failed(size_t i);

/* For generated code. */
int idl_call_new(struct idl_call **ret_call, sd_bus_message *message, struct idl_method *method);
struct idl_reader *idl_call_reader(struct idl_call *call);
int idl_call_refuse(struct idl_call *call, int r);              /* the arguments could not be read */
int idl_call_unsupported(struct idl_call *call);                /* there is no handler */
int idl_call_handled(struct idl_call *call, int r, struct idl_error *error);    /* the handler returned r */
int idl_call_handled_without_reply(struct idl_call *call, int r, struct idl_error *error);
int idl_call_reply_new(struct idl_call *call, sd_bus_message **ret_reply);
int idl_call_reply_send(struct idl_call *call, sd_bus_message *reply);
int idl_error_set_refused(struct idl_error *error, const struct idl_reader *reader, int r);
int idl_property_failed(int r, const char *property, struct idl_error *error, sd_bus_error *ret_error);
int idl_emit_changed(sd_bus *bus, const char *path, const char *interface, const char *const *names, size_t n, unsigned properties);

static inline void idl_call_unrefp(struct idl_call **call) {
        if (*call)
                idl_call_unref(*call);
}
