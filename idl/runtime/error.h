/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Errors: a name that programs switch on, a sentence for a person, and details with types.
 *
 * idl/errors.xml lists them; each has a setter, idl_error_set_NAME(), in the generated idl-errors.h, which returns a negative errno:
 *
 *         return idl_error_set_does_not_exist(error, "VM", name);
 *
 * In the reply to a call there are name and sentence: GLib takes an error apart only if it has one string and nothing else. The details
 * are in the property Error of a task, where whatever takes long fails.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "variant.h"

#define IDL_ERROR_DETAILS_MAX 4u

struct idl_error_detail {
        const char *name;               /* not copied: a string literal */
        char type;                      /* s, o: s; t, u: t; x, i: x; b: b; d: d */
        union {
                char *s;
                uint64_t t;
                int64_t x;
                double d;
                bool b;
        };
};

struct idl_error {
        const char *name;               /* NULL if there is no error */
        char *message;
        int number;                     /* the errno that goes with the name, positive */
        struct idl_error_detail details[IDL_ERROR_DETAILS_MAX];
        size_t n_details;
};

#define IDL_ERROR_NULL { .name = NULL }

void idl_error_done(struct idl_error *error);

/* Moves an error to where none is; from is empty afterwards. */
void idl_error_move(struct idl_error *to, struct idl_error *from);

/* LimitExceeded with a number of bytes, which the sentence has in a unit for people. */
int idl_error_set_bytes_exceeded(struct idl_error *error, const char *name, uint64_t value, uint64_t limit);

/* Makes an error of a negative errno, unless error is set already. what: the thing that failed. Returns r. */
int idl_error_set_errno(struct idl_error *error, int r, const char *what);

/* A detail as a value that can be sent. Its string stays the error's. */
struct idl_variant idl_error_detail_variant(const struct idl_error_detail *detail);

/* Answers a call with the error, which has to be set. */
int idl_error_reply(sd_bus_message *call, const struct idl_error *error);

/* What sd-bus has room for: name and sentence. Returns the negative errno of the error. */
int idl_error_to_sd_bus(const struct idl_error *error, sd_bus_error *ret_error);

/* For generated code. A sentence has {NAME} where the detail of that name belongs, and {NAME:bytes} for one that is so many bytes. */
struct idl_error_kind {
        const char *name;
        const char *sentence;
        int number;
};

/* Copies the details. With an error that is NULL, only returns the errno; replaces an error that is set. */
int idl_error_set(struct idl_error *error, const struct idl_error_kind *kind, const struct idl_error_detail *details, size_t n_details);
