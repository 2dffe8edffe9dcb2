/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the two services with org.xen.xcp.bench1.Echo, and who calls them, have in common. */

#include <systemd/sd-bus.h>

#define ECHO_GENERATED_NAME "org.xen.xcp.bench.generated"
#define ECHO_PLAIN_NAME "org.xen.xcp.bench.plain"
#define ECHO_PATH "/org/xen/xcp/bench"
#define ECHO_INTERFACE "org.xen.xcp.bench1.Echo"
#define ECHO_PROPERTY "a string of a usual size"

/* Connects to the bus at argv[1], exports, owns the name or that in argv[2], prints "ready" and serves for ever. Returns an exit status. */
int echo_main(const char *program, const char *name, int (*export)(sd_bus *bus), int argc, char **argv);
