/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Memory that domains share: memfds whose size nobody can change, so that no holder can make another one fault. */

#include <stdint.h>

/*
 * Makes n_pages zeroed pages, all of them allocated now, sealed against shrinking and growing and with more_seals (F_SEAL_*).
 * Returns a close-on-exec descriptor or a negative errno.
 */
int memory_new(const char *name, uint32_t n_pages, int more_seals);

/* Opens the same memory for reading only. Returns a close-on-exec descriptor or a negative errno, -EAGAIN while a holder leases it. */
int memory_open_readonly(int memfd);
