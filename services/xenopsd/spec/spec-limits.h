/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the configuration of a VM may have at most. The manager refuses more, and xcpctl says so of a file, with the line, before it asks. */

#include <stdint.h>

#define SPEC_NAME_MAX 64u
#define SPEC_DEVICE_NAME_MAX 32u
#define SPEC_DESCRIPTION_MAX 4096u
#define SPEC_LABELS_MAX 64u
#define SPEC_LABEL_NAME_MAX 256u
#define SPEC_LABEL_MAX 4096u
#define SPEC_OPTIONS_MAX 64u
#define SPEC_DISKS_MAX 64u
#define SPEC_NETWORK_INTERFACES_MAX 16u
#define SPEC_ADDRESSES_MAX 16u          /* of a network interface */
#define SPEC_PATH_MAX 4095u             /* PATH_MAX, without the end */
#define SPEC_COMMAND_LINE_MAX 4096u     /* more than Linux takes (2048 on x86) */
#define SPEC_MEMORY_UNIT (UINT64_C(1) << 20)
#define SPEC_MEMORY_MAX (UINT64_C(1) << 44)     /* 16 TiB: Xen's own limit for a host */
#define SPEC_LIMIT_MAX UINT64_C(1000000000000000)        /* of bytes and requests a second: as much as QEMU takes */
#define SPEC_BOOT_INDEX_MAX 0x7fffffffu  /* as much as QEMU takes */
#define SPEC_VCPUS_MAX 512u             /* of a guest, Xen and QEMU have less or as many */
#define SPEC_AUTOSTART_DELAY_MAX (3600u * 1000)
#define SPEC_MTU_MIN 68u                /* RFC 791 */
#define SPEC_MTU_MAX 65535u
