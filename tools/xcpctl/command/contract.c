/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "contract.h"

#include <string.h>

const struct contract_value contract_nothing[] = { {} };

const struct contract_interface *contract_interface(const char *name) {
        for (const struct contract_interface *interface = contract_interfaces; interface->name; interface++)
                if (strcmp(interface->name, name) == 0)
                        return interface;
        return NULL;
}

const struct contract_call *contract_call(const char *interface, const char *name) {
        const struct contract_interface *found = contract_interface(interface);

        if (!found)
                return NULL;
        for (const struct contract_call *call = found->calls; call->name; call++)
                if (strcmp(call->name, name) == 0)
                        return call;
        return NULL;
}

const struct contract_value *contract_member(const struct contract_value *members, const char *name) {
        for (; members->name; members++)
                if (strcmp(members->name, name) == 0)
                        return members;
        return NULL;
}

const struct contract_value *contract_property(const char *interface, const char *name) {
        const struct contract_interface *found = contract_interface(interface);

        return found ? contract_member(found->properties, name) : NULL;
}

static const struct contract_type *type_of_length(const char *name, size_t n) {
        for (const struct contract_type *type = contract_types; type->name; type++)
                if (strlen(type->name) == n && memcmp(type->name, name, n) == 0)
                        return type;
        return NULL;
}

const struct contract_type *contract_type(const char *name) {
        return type_of_length(name, strlen(name));
}

const struct contract_type *contract_named(const char *expression) {
        size_t n;

        if (!expression || *expression != '[')
                return NULL;
        n = strcspn(expression, "]");
        return type_of_length(expression + 1, n - 1);
}

size_t contract_type_length(const char *expression) {
        const char *p = expression;
        unsigned depth = 0;

        while (*p == 'a')
                p++;
        do {
                if (*p == '[')
                        p += strcspn(p, "]");
                else if (*p == '(' || *p == '{')
                        depth++;
                else if (*p == ')' || *p == '}')
                        depth--;
                if (*p == '\0')
                        break;
                p++;
        } while (depth > 0);
        return (size_t) (p - expression);
}
