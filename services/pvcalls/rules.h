/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Policies: from the records of the bus to the text that a backend reads, and what they say to an address.
 *
 * The backend's own parser judges the text, so that what is accepted here is accepted there.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "idl.h"
#include "xcp-types.h"

#define RULES_MAX 1024u                 /* of a policy: what the backend takes */

/* The text, for free(). InvalidArgument names the rule; LimitExceeded. */
int rules_format(const struct xcp_pvcalls_rule *rules, size_t n, char **ret_text, struct idl_error *error);

/* What a policy that rules_format() made says. InvalidArgument: there is no such address. */
int rules_check(const char *text, enum xcp_pvcalls_call call, enum xcp_address_family family, const char *address, uint16_t port,
                bool *ret_allowed, int32_t *ret_rule, struct idl_error *error);

/* Are these limits? */
int rules_check_limits(const struct xcp_pvcalls_limits *limits, struct idl_error *error);
