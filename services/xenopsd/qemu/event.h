/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a guest's monitor says by itself, and what becomes of the guest. */

#include "qmp.h"

extern const struct qmp_listener event_listener;        /* its userdata is the guest */
