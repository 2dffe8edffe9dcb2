/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The storage service, as its users name it. */

#define STORAGE "org.xen.xcp.storage"
#define STORAGE_ROOT "/org/xen/xcp/storage"
#define STORAGE_TASKS STORAGE_ROOT "/task"
#define STORAGE_MANAGER_INTERFACE "org.xen.xcp.storage1.Manager"
#define STORAGE_SR_INTERFACE "org.xen.xcp.storage1.SR"
#define STORAGE_VDI_INTERFACE "org.xen.xcp.storage1.VDI"
