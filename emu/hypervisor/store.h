/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Debian's xenstored as a process of domain 0.
 *
 * It runs unmodified, in the foreground, on the drop-in libraries; a preloaded library stands for the two files of domain 0's kernel
 * that it opens. It prints its pid when it answers (xenstored --output-pid), which is how readiness is known.
 */

struct hypervisor;
struct store;

/* Starts it; hypervisor_announce() is called when it answers or has ended before. Returns 0 or a negative errno. */
int store_start(struct hypervisor *hypervisor, struct store **ret_store);

/* Kills it, if it runs, and frees. Always returns NULL. */
struct store *store_free(struct store *store);
