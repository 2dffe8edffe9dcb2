/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Readiness: telling whoever started a service when it can be called. */

/* To systemd through $NOTIFY_SOCKET, and a newline to the descriptor (-1: there is none), which is closed. */
void readiness_ready(int fd);

/* To systemd: it is on its way out, and has not hung. */
void readiness_stopping(void);
