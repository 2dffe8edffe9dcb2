/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which accelerator "auto" is. A /dev/kvm that can be opened need not run guests: so the first guest that asks has a tiny one run before
 * it, with a deadline. What came of it is remembered until the host is booted.
 */

#include "options.h"

struct accelerator;

typedef void (*accelerator_known_t)(void *userdata);

int accelerator_new(struct accelerator **ret_accelerator, sd_event *event, int directory_fd, const char *boot_id, const char *program);
struct accelerator *accelerator_free(struct accelerator *accelerator);

/* QEMU_TCG, QEMU_KVM, or QEMU_AUTO if it is not known. */
enum qemu_accelerator accelerator_best(const struct accelerator *accelerator);

/* Finds out, if it is not known. known is called from the event loop, once; accelerator_forget() keeps it from that. */
int accelerator_find(struct accelerator *accelerator, accelerator_known_t known, void *userdata);
void accelerator_forget(struct accelerator *accelerator, void *userdata);
