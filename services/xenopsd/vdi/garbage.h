/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Garbage: VDIs that the manager is to destroy, as it has made them, or what they were made for is gone.
 *
 * They are in the store before the storage service is asked to make them, so a manager that is killed leaves nothing: what a job
 * makes is garbage, owned by job->owner, until the job's last transaction says that it is not. What cannot be destroyed now is tried
 * again when the storage service comes to the bus, and every STORAGE_RETRY_MS.
 */

#include "xenopsd.h"

#define GARBAGE_UNFOUND_USEC (3600 * UINT64_C(1000000)) /* one may be in the making so long: a large disk is copied */

int garbage_new(struct xenopsd *xenopsd);
void garbage_free(struct xenopsd *xenopsd);

/* Destroys what there is, in the background. What a job under way owns is left alone. */
void garbage_collect(struct xenopsd *xenopsd);

/* The same; done is called, from the event loop, when each has been tried. */
typedef void (*garbage_done_t)(void *userdata);

int garbage_wait(struct xenopsd *xenopsd, garbage_done_t done, void *userdata);
void garbage_forget_wait(struct xenopsd *xenopsd, void *userdata);
