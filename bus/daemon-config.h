/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A policy as a configuration file of dbus-daemon, dbus-daemon(1).
 *
 * The bus listens on the socket that it is handed (sd_listen_fds(3)), so that the socket is made in one way for both brokers.
 */

#include "policy.h"

/*
 * Writes the configuration for a resolved policy without missing limits. service_dirs are where activation files are, the first wins;
 * NULL ends them. Returns 0 and a text to be freed, or -ENOMEM.
 */
int daemon_config_make(const struct policy *policy, const char *const *service_dirs, char **ret_text);
