/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The host's neighbours: what addresses it has talked to at whose MAC addresses (rtnetlink(7), RTM_GETNEIGH). */

#include "addresses.h"

/* Adds those of a guest's interfaces. The kernel answers at once. */
int neighbours_read(const struct facts *facts, struct addresses *addresses);
