/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Filters of system calls, for programs that touch what other domains have written: what they have no use for fails with EPERM.
 *
 * A filter begins with what any of them needs: the event loop, libxenstore, libxengnttab and libxenevtchn (of Xen and of emulated Xen), the log
 * and the sanitizers. New code can never be mapped. It fails and does not kill: a call that was forgotten costs one answer and not a whole link.
 */

#include <stddef.h>

#include <seccomp.h>

int syscall_filter_new(scmp_filter_ctx *ret_filter);

/* More calls, with any arguments; and sockets of these families. */
int syscall_filter_allow(scmp_filter_ctx filter, const int *calls, size_t n);
int syscall_filter_allow_sockets(scmp_filter_ctx filter, const unsigned *families, size_t n);

/* Puts it into force, for all threads, unless what added to it has failed with r, and frees it in any case. Cannot be undone. */
int syscall_filter_load(scmp_filter_ctx filter, int r);
