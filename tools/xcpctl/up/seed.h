/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Seeds: what cloud-init in a guest reads at its first boot, as its data source NoCloud has it: an ISO 9660 image called cidata with the
 * files meta-data, user-data and network-config, made by xorriso.
 */

#include "vm-file.h"

struct seed {
        char *user_data, *meta_data, *network_config;   /* network_config: NULL if there is none */
        char *digest;                   /* of all that it says, in hexadecimal digits: of the same wish, the same */
};

/* The texts. An SSH key is made for the VM if the wish has neither keys nor data of its own. */
bool seed_compose(struct seed *seed, const char *vm, const struct wish *wish, GError **error);
void seed_clear(struct seed *seed);

/* The image, in a file without a name, at its beginning. A descriptor to be closed, or -1. */
int seed_image(const struct seed *seed, GError **error);
