/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Recovery: what is found of a guest when it comes to be known. What an earlier manager had begun is taken away, or brought to its end; a
 * domain that somebody else has made, with the VM's UUID, is adopted.
 */

struct xen_guest;

int xen_recovery_begin(struct xen_guest *guest);
