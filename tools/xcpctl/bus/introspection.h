/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Introspection: what a service says about its objects, for commands that work on any of them. */

#include "client.h"
#include "contract.h"

struct introspected_object {
        char *path;
        char **interfaces;              /* without those of D-Bus that every object has */
};

/*
 * All objects of a service that have interfaces of their own: its root, what its ObjectManager knows, and where there is no ObjectManager
 * what introspection finds below /, up to INTROSPECTION_OBJECTS_MAX. In the order of their paths.
 */
#define INTROSPECTION_OBJECTS_MAX 10000u
GPtrArray *introspection_objects(struct context *context, const char *service, GError **error);

/* Shows the properties of an object: those of each interface that is not D-Bus's own. */
bool introspection_show(struct context *context, const char *service, const char *path, GError **error);

/* How a method is called: "CreateCounter s name". To be freed. */
char *introspection_usage(const GDBusMethodInfo *method);

/* A method's results as the contract would have them; to be freed, and valid while the method's description is. */
struct contract_value *introspection_outputs(const GDBusMethodInfo *method);
