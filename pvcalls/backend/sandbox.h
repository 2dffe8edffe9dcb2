/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a backend gives up once everything is open: to be root, all capabilities but that to bind ports below 1024, new privileges, and the
 * system calls that it has no use for. What a guest could make of a mistake in here is then what is left: the sockets and pages that are
 * its own anyway, and network sockets that the policy does not see.
 */

/* user: who to be if this is root. -ENOENT: there is no such user. Cannot be undone. */
int sandbox_enter(const char *user);
