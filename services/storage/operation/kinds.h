/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The kinds of operations, for those who start them and for the counters. */

#include "operation.h"

extern const struct operation_kind operation_sr_attach, operation_sr_create, operation_sr_destroy, operation_sr_detach, operation_sr_forget,
        operation_sr_get_space, operation_sr_introduce, operation_sr_scan;
extern const struct operation_kind operation_vdi_clone, operation_vdi_copy, operation_vdi_create, operation_vdi_import,
        operation_vdi_snapshot;
extern const struct operation_kind operation_vdi_destroy, operation_vdi_export, operation_vdi_get_usage, operation_vdi_note,
        operation_vdi_resize;
extern const struct operation_kind operation_vdi_activate, operation_vdi_attach, operation_vdi_deactivate, operation_vdi_detach;
