/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "limit.h"

#include <errno.h>
#include <string.h>

#define MESSAGE_MAX (UINT64_C(1) << 27)         /* D-Bus specification, "Message Format" */
#define SCM_MAX_FD 253                          /* the kernel's, unix(7): what one sendmsg() can carry */
#define INT_LIMIT INT32_MAX                     /* dbus-daemon keeps its limits in an int or a long */
#define BROKER_LIMIT UINT32_MAX                 /* dbus-broker keeps its in an unsigned int */

const struct limit_kind limit_kinds[_LIMIT_N] = {
        [LIMIT_MESSAGE_BYTES] = { "message-bytes", MESSAGE_MAX, { "max_message_size" } },
        [LIMIT_QUEUED_BYTES] = { "queued-bytes-per-connection", INT_LIMIT, { "max_incoming_bytes", "max_outgoing_bytes" } },
        [LIMIT_MESSAGE_FDS] = { "message-fds", SCM_MAX_FD, { "max_message_unix_fds" } },
        [LIMIT_QUEUED_FDS] = { "queued-fds-per-connection", INT_LIMIT, { "max_incoming_unix_fds", "max_outgoing_unix_fds" } },
        [LIMIT_CONNECTIONS] = { "connections", INT_LIMIT, { "max_completed_connections" } },
        [LIMIT_CONNECTIONS_PER_USER] = { "connections-per-user", INT_LIMIT, { "max_connections_per_user" } },
        [LIMIT_UNAUTHENTICATED] = { "connections-unauthenticated", INT_LIMIT, { "max_incomplete_connections" } },
        [LIMIT_NAMES] = { "names-per-connection", INT_LIMIT, { "max_names_per_connection" } },
        [LIMIT_MATCHES] = { "matches-per-connection", INT_LIMIT, { "max_match_rules_per_connection" } },
        [LIMIT_REPLIES] = { "replies-per-connection", INT_LIMIT, { "max_replies_per_connection" } },
        [LIMIT_WAITING] = { "messages-waiting-for-activation", INT_LIMIT, { "max_pending_service_starts" } },
        [LIMIT_ACTIVATION_MS] = { "activation-ms", INT_LIMIT, { "service_start_timeout" } },
        [LIMIT_AUTHENTICATION_MS] = { "authentication-ms", INT_LIMIT, { "auth_timeout" } },
        [LIMIT_USER_BYTES] = { "user-bytes", BROKER_LIMIT, {}, "--max-bytes" },
        [LIMIT_USER_FDS] = { "user-fds", BROKER_LIMIT, {}, "--max-fds" },
        [LIMIT_USER_MATCHES] = { "user-matches", BROKER_LIMIT, {}, "--max-matches" },
        [LIMIT_USER_OBJECTS] = { "user-objects", BROKER_LIMIT, {}, "--max-objects" },
};

int limit_find(const char *name, size_t n_name) {
        for (int i = 0; i < _LIMIT_N; i++)
                if (strlen(limit_kinds[i].name) == n_name && memcmp(limit_kinds[i].name, name, n_name) == 0)
                        return i;
        return -ENOENT;
}
