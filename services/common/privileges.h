/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What a process gives up before it touches what other domains have written: root's user, groups and capabilities. capabilities(7). */

#include <stdint.h>
#include <sys/types.h>

/* Becomes that user for good, in no group but this one, and keeps these capabilities: bits 1 << CAP_..., of those below 32. */
int privileges_become(uid_t user, gid_t group, uint32_t capabilities);

/* The same, of a user of the host's database and that user's group. Returns -ENOENT if there is none of that name. */
int privileges_become_named(const char *name, uint32_t capabilities);

/* Keeps these capabilities and no other. They must be the process's already. */
int privileges_keep(uint32_t capabilities);
