/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QEMU's own network: the addresses that guests talk from in it, as its monitor's "info usernet" tells. */

#include "addresses.h"

/* Adds those of interfaces that the facts know. */
void user_network_read(const char *untrusted_text, const struct facts *facts, struct addresses *addresses);
