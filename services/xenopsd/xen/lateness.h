/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Guests that suspend late. One that is saved or moved is asked to suspend, in xenstore, and takes notice by taking the wish away; from there on
 * it is on its way to suspending, and does when it is ready, whether or not the save has been cancelled meanwhile. Then it goes on. A guest
 * that somebody else has suspend, who saves it, is left alone, and the manager is told.
 */

#include <stdbool.h>

struct xen_guest;

/* Whether it may be on its way. Libxl gives a guest a minute for that, and so it is here. */
void xen_lateness_expect(struct xen_guest *guest, bool is_expected);

/* Its domain has shut down to be saved. */
void xen_lateness_hear(struct xen_guest *guest);
