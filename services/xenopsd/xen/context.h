/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Contexts of libxl: one for each thread that uses it, and what it complains about. */

#include <stdbool.h>
#include <sys/types.h>

#include <libxl.h>

#define CONTEXT_WHY_SIZE 200u

struct xen_logger;

/* Without children, nothing may be done with it that has libxl run a program. */
int xen_context_new(libxl_ctx **ret_ctx, struct xen_logger **ret_logger, bool has_children);
void xen_context_free(libxl_ctx *ctx, struct xen_logger *logger);

/* How contexts with children fork: as fork() does, and the child finds no lock of Xen's libraries held by a thread that it does not have. */
pid_t xen_context_fork(void);

/* From now on, the first complaint is written to why, of CONTEXT_WHY_SIZE bytes; NULL: to nowhere. */
void xen_logger_begin(struct xen_logger *logger, char *why);
