/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The list of drivers. */

#include <string.h>

#include "driver.h"

const struct driver *const drivers[] = { &driver_directory, &driver_file, NULL };

const struct driver *driver_find(const char *name) {
        for (size_t i = 0; drivers[i]; i++)
                if (strcmp(drivers[i]->name, name) == 0)
                        return drivers[i];
        return NULL;
}

const char *driver_option(const struct xcp_dict_s_s_entry *config, size_t n, const char *key) {
        for (size_t i = 0; i < n; i++)
                if (strcmp(config[i].key, key) == 0)
                        return config[i].value;
        return NULL;
}
