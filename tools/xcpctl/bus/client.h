/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Client: calls on the bus, and what the names on it mean. */

#include <stdbool.h>

#include <gio/gio.h>

#include "context.h"

#define CLIENT_PREFIX "org.xen.xcp."
#define CLIENT_XENOPSD "org.xen.xcp.xenopsd"    /* and its paths, whatever name a second manager has on the bus */
#define CLIENT_STORAGE "org.xen.xcp.storage"
#define CLIENT_IMAGES "org.xen.xcp.images"
#define CLIENT_PVCALLS "org.xen.xcp.pvcalls"
#define CLIENT_BRIDGE "org.xen.xcp.bridge"
#define CLIENT_BRIDGE_ROOT "/org/xen/xcp/bridge"
#define CLIENT_DIAGNOSTICS "org.xen.xcp.Diagnostics1"
#define CLIENT_TASK "org.xen.xcp.Task1"

/* A service's name on the bus: its own, but of the VM manager the one that --manager says. */
const char *client_destination(const struct context *context, const char *service);

/*
 * Calls a method. arguments: a tuple, or NULL; if it is floating, it is consumed. Returns the results, a tuple. fds may be NULL.
 * A call on a service that is not running starts it.
 */
GVariant *client_call(struct context *context, const char *service, const char *path, const char *interface, const char *method,
                      GVariant *arguments, GUnixFDList *fds, GUnixFDList **ret_fds, GError **error);

/* The same of services that run, without starting them, with a deadline of 3 seconds: for overviews, which nobody may hold up. */
GVariant *client_call_briefly(struct context *context, const char *service, const char *path, const char *interface, const char *method,
                              GVariant *arguments);

/* The properties of an interface, a{sv}; NULL with an error. */
GVariant *client_properties(struct context *context, const char *service, const char *path, const char *interface, GError **error);

GVariant *client_property(struct context *context, const char *service, const char *path, const char *interface, const char *name,
                          GError **error);
bool client_set_property(struct context *context, const char *service, const char *path, const char *interface, const char *name,
                         GVariant *value, GError **error);

/* All objects of a service, a{oa{sa{sv}}}, from the ObjectManager at its root. */
GVariant *client_objects(struct context *context, const char *service, GError **error);

/* What an object introspects. */
GDBusNodeInfo *client_introspect(struct context *context, const char *service, const char *path, GError **error);

/* Names of services that run or can be started, sorted; of those that run, only them. Ends with NULL; g_strfreev(). */
char **client_services(struct context *context, bool also_activatable, GError **error);
bool client_is_running(struct context *context, const char *service);

/* Full names, g_free(): storage → org.xen.xcp.storage, and its root /org/xen/xcp/storage. */
char *client_service_name(const char *text);
char *client_root(const char *service);

/* The service that an object belongs to by its path, org.xen.xcp.storage of /org/xen/xcp/storage/task/1; NULL if it is of none of ours. */
char *client_service_of(const char *path);

/* How people call them: storage, and task/1. Point into the argument. */
const char *client_short_name(const char *service);
const char *client_short_path(const char *path);
