/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Contract: what the interfaces of idl/ say, as data, so that options, tables and JSON keep step with them.
 *
 * The tables are generated from the XML. Each ends with an entry without a name. A type is a type expression of idl/README.md:
 * a signature in which [Name] stands for a type that has a name.
 */

#include <stdbool.h>
#include <stddef.h>

enum contract_kind {
        CONTRACT_ENUM,
        CONTRACT_STRUCT,
        CONTRACT_RECORD,
};

/* A member of a type, an argument, or a property. */
struct contract_value {
        const char *name;
        const char *type;               /* NULL: the value of an enum */
        const char *doc;
        const char *fallback;           /* of a record's key: what it is if it is left out; NULL if that is not said */
        bool flag;                      /* of a record's key: it is required. Of a property: it can be written */
};

struct contract_type {
        const char *name;
        enum contract_kind kind;
        const struct contract_value *members;
};

/* A method, or a signal, which has outputs only. */
struct contract_call {
        const char *name;
        const char *doc;
        const struct contract_value *inputs;
        const struct contract_value *outputs;
        const char *result;             /* the record that its task has for Result; NULL if there is none */
};

struct contract_interface {
        const char *name;
        const char *doc;
        const struct contract_call *calls;
        const struct contract_value *properties;
};

extern const struct contract_type contract_types[];
extern const struct contract_interface contract_interfaces[];
extern const struct contract_value contract_nothing[];

/* All return NULL for what is not in the contract. */
const struct contract_interface *contract_interface(const char *name);
const struct contract_call *contract_call(const char *interface, const char *name);
const struct contract_value *contract_property(const char *interface, const char *name);
const struct contract_value *contract_member(const struct contract_value *members, const char *name);
const struct contract_type *contract_type(const char *name);

/* The named type that an expression is, as in "[VmSpec]"; NULL if it is no single named type. */
const struct contract_type *contract_named(const char *expression);

/* The length of the first complete type of an expression that is well-formed. */
size_t contract_type_length(const char *expression);
