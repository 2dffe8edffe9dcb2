/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Strings of JSON that came from elsewhere, where nothing is certain to be what it should be. */

#include <json-c/json.h>

/* The string at a key of an object, which has it; "" if there is none, if it is no string, or if object is none. */
static inline const char *json_text(struct json_object *object, const char *key) {
        struct json_object *value;

        return json_object_is_type(object, json_type_object) && json_object_object_get_ex(object, key, &value) &&
                               json_object_is_type(value, json_type_string)
                       ? json_object_get_string(value)
                       : "";
}
