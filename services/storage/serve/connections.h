/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Connections: how many there are to a socket with this path in the file system, whoever serves it; also those that wait to be accepted. -errno: nobody knows. */

int connections_count(const char *socket_path);
