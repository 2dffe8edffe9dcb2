/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Variants: values whose type the interface leaves open.
 *
 * A basic value is in the union itself. A container is a message of its own that holds nothing else: read it with sd_bus_message_read()
 * and its relatives, after sd_bus_message_rewind(). Like every argument, strings, descriptors and messages belong to the call.
 */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

#include "arena.h"
#include "reader.h"

struct idl_variant {
        char type;                      /* a D-Bus type code that says which member of the union holds; 0 if none does */
        union {
                uint8_t y;
                bool b;
                int16_t n;
                uint16_t q;
                int32_t i;
                uint32_t u;
                int64_t x;
                uint64_t t;
                double d;
                int h;
                const char *s;          /* types s, o and g */
                sd_bus_message *message; /* types a, ( and v: holds just this value, sealed */
        };
};

int idl_variant_read(struct idl_reader *reader, struct idl_variant *ret);
int idl_variant_append(sd_bus_message *message, const struct idl_variant *value);
int idl_variant_copy(struct idl_arena *arena, struct idl_variant *to, const struct idl_variant *from);
