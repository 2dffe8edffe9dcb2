/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Members of an object that QEMU is to read, by their types. */

#include <stdbool.h>
#include <stdint.h>

#include <json-c/json.h>

static inline void add_string(struct json_object *object, const char *name, const char *value) {
        json_object_object_add(object, name, json_object_new_string(value));
}

static inline void add_bool(struct json_object *object, const char *name, bool value) {
        json_object_object_add(object, name, json_object_new_boolean(value));
}

static inline void add_number(struct json_object *object, const char *name, uint64_t value) {
        json_object_object_add(object, name, json_object_new_uint64(value));
}
