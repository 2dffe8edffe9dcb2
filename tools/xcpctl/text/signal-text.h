/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Signals: what one says, for people and as JSON. */

#include <gio/gio.h>
#include <json-c/json.h>

struct signal_event {
        const char *service;            /* the well-known name of the sender, in full */
        const char *path, *interface, *name;
        GVariant *arguments;
};

/* Without the time, the service and the path: "State=Running Progress=0.5", "added VM", "Finished state=Succeeded". To be freed. */
char *signal_text(const struct signal_event *event);

/* An object with service, path, interface, signal and arguments. */
struct json_object *signal_json(const struct signal_event *event);
