/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the relay and its daemon give up: one reads what a front-end says, the other what a guest writes. */

#include <sys/types.h>

/*
 * In the daemon's process, before its program is executed: no new privileges, and no capability but to open what others own; a network without anything in it, where root
 * starts it; no other processes, no signals to any, no looking into any, no other namespaces, no core. It opens its images itself, so files are not kept from it.
 */
int confine_daemon(void);

/* The relay, once it starts no daemon any more: no capabilities, and only the system calls that it needs; signals to the daemon alone. */
int confine_relay(pid_t daemon);
