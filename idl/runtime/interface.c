/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "interface.h"

static struct idl_interface *first;

const struct idl_interface *idl_interface_first(void) {
        return first;
}

const struct idl_interface *idl_interface_next(const struct idl_interface *interface) {
        return interface->next;
}

void idl_interface_add(struct idl_interface *interface) {
        if (interface->known)
                return;
        interface->known = true;
        interface->next = first;
        first = interface;
}
