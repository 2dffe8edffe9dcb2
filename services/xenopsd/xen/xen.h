/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The backend for Xen: each guest is a domain, made and managed by libxl.
 *
 * Libxl builds a domain within one call, however its event hooks are set, which takes from some ten milliseconds to seconds; and
 * xenstored has to answer most of its calls. So operations are done by threads (worker.h), each with a context of its own. What libxl has
 * to tell comes through its hooks on the event loop (loop.h).
 */

#include "hypervisor.h"

extern const struct hypervisor xen_hypervisor;
