/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Nodes by which a side says which of docs/pvcalls-extensions.md it has. */

#define FEATURE_SUPPRESSION "feature-notification-suppression"
#define FEATURE_NAMES "feature-names"
#define FEATURE_SHUTDOWN "feature-shutdown"
#define FEATURE_OPTIONS "feature-socket-options"
#define FEATURE_DATAGRAMS "feature-datagrams"
#define FEATURE_IPV6 "feature-ipv6"
#define FEATURE_UNIX "feature-unix"
