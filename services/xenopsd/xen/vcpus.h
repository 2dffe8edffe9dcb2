/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Virtual CPUs of a domain, as xenstore has them: what its guest was told last, by whoever told it. */

#include <stdint.h>

struct xs_handle;

/*
 * How many are to be there; 0 if it is not known. So it is of HVM guests: libxl tells those with a device model by way of that, and not by xenstore.
 */
uint32_t vcpus_read(struct xs_handle *store, uint32_t domid);
