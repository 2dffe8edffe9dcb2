/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What callers may ask for: names, sizes, labels, paths. All return 0, or -EINVAL or -E2BIG with error set. Pure. */

#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "uuid.h"
#include "xcp-types.h"

#define SPEC_SR_NAME_MAX 64u
#define SPEC_VDI_NAME_MAX 255u
#define SPEC_DESCRIPTION_MAX 4096u
#define SPEC_LABELS_MAX 64u
#define SPEC_LABEL_NAME_MAX 255u
#define SPEC_LABEL_VALUE_MAX 4096u
#define SPEC_IOPS_LIMIT_MAX UINT64_C(1000000)           /* what xcp-vhost-blk takes */
#define SPEC_RATE_LIMIT_MAX UINT64_C(1000000000000)     /* what QEMU takes, and more than memory does */
#define SPEC_PATH_MAX 3072u             /* so that the names of files fit behind it in a path of 4096 bytes */

int spec_check_sr_name(const char *argument, const char *name, struct idl_error *error);
int spec_check_vdi_name(const char *argument, const char *name, struct idl_error *error);
int spec_check_description(const char *argument, const char *description, struct idl_error *error);
int spec_check_labels(const char *argument, const struct xcp_dict_s_s_entry *labels, size_t n, struct idl_error *error);
int spec_check_reader(const char *reader, struct idl_error *error);
int spec_check_path(const char *path, struct idl_error *error);         /* spec.config.path; NULL: it is missing */
int spec_check_uuid(const char *argument, const char *text, struct uuid *ret_uuid, struct idl_error *error);

/* A disk's size, rounded up to whole sectors. max: VDI_SIZE_MAX. */
int spec_round_size(const char *argument, uint64_t size, uint64_t max, uint64_t *ret_size, struct idl_error *error);

/* A limit of a disk's readers: 0 (none) to max. */
int spec_check_limit(const char *argument, uint64_t limit, uint64_t max, struct idl_error *error);

/* A size with the units K, M, G and T, in an option. */
int spec_parse_size(const char *argument, const char *text, uint64_t *ret_size, struct idl_error *error);

/* The size of an image, for a disk that has *size to be (0: none in particular). */
int spec_take_image_size(uint64_t *size, uint64_t image_size, struct idl_error *error);

/* DoesNotExist, with no more of the name than helps. */
int spec_set_missing(struct idl_error *error, const char *kind, const char *name);
