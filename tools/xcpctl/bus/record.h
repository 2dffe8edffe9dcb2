/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Records: from options to a record of the contract, a{sv}.
 *
 *         vm create web --memory 1GiB --disk root,mode=ReadOnly --label owner=ann
 *
 * becomes a VmSpec. Each key has an option; records in lists are written KEY=VALUE,KEY=VALUE, and what comes first may be the value
 * alone of the key that matters most: a disk's vdi, a network interface's network. A comma in a value is written \,.
 */

#include "client.h"

/* All keys of a record that the arguments give. Returns a reference that is not floating. */
GVariant *record_of_arguments(struct context *context, const char *record, GError **error);

/* One record, written as KEY=VALUE,... */
GVariant *record_of_text(struct context *context, const char *record, const char *text, GError **error);
