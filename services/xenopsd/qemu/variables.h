/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What UEFI firmware is made of: the firmware, which is the same for all guests, and variables (what to boot, keys, what an installed
 * system has put there), which are a VM's own. They stay when its guest is gone, and go with the VM; so they are beside the directories
 * of guests, in DIR/UUID.variables.
 */

#include <stdbool.h>

#include "idl.h"

#define VARIABLES_FIRMWARE "/usr/share/OVMF/OVMF_CODE_4M.fd"    /* Debian: ovmf */
#define VARIABLES_TEMPLATE "/usr/share/OVMF/OVMF_VARS_4M.fd"
#define VARIABLES_SUFFIX ".variables"
#define VARIABLES_PATH_SIZE 64u

/* Of a VM that has none, those that come with the firmware. DoesNotExist if there is no firmware, NotEnoughSpace. */
int variables_make(int directory_fd, const char *uuid, struct idl_error *error);

/* Where they are, seen from the directory of the guest. */
void variables_path(const char *uuid, char ret_path[static VARIABLES_PATH_SIZE]);

void variables_remove(int directory_fd, const char *uuid);

/* Removes a file if it is of variables: those of no VM, and what an earlier manager was in the middle of making. */
void variables_sweep(int directory_fd, const char *name, bool (*is_known)(void *userdata, const char *uuid), void *userdata);
