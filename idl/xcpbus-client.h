/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * GLib proxies for the services of xcpbus, and their errors as GError.
 *
 *         #include <xcpbus-client.h>                      cc `pkg-config --cflags --libs xcpbus-client`
 *
 * Each interface is a class: org.xen.xcp.xenopsd1.VM is XcpXenopsd1VM. Its methods are called by xcp_xenopsd1_vm_call_start() and so on.
 */

#include "xcp-errors.h"
#include "xcp-interfaces.h"
