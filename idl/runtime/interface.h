/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Interfaces: what generated code says of one, and how much its methods are used.
 *
 * Each method has counters, at a place in the generated code that is known when that is compiled; calls (call.h) count. An interface is
 * known to idl_interface_first() from its first export on, so that all counters of a service can be told. They are the process's, and a
 * service has one thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

struct idl_method {
        const char *name;
        uint64_t n_calls;
        uint64_t n_failed;              /* of these, answered with an error so far */
        uint64_t nsec;                  /* spent on those that have ended, from their arrival on */
};

struct idl_interface {
        const char *name;
        const sd_bus_vtable *vtable;
        struct idl_method *methods;
        size_t n_methods;

        /* For interface.c. */
        struct idl_interface *next;
        bool known;
};

/* All interfaces that were exported, the last one first: NULL ends them. */
const struct idl_interface *idl_interface_first(void);
const struct idl_interface *idl_interface_next(const struct idl_interface *interface);

/* For export.c. */
void idl_interface_add(struct idl_interface *interface);
