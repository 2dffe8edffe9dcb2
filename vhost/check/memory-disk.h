/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A disk in memory, which front-ends are checked with: a back-end of this library's, on a thread of its own.
 *
 * It does what a test needs to see a front-end in more than good days: it becomes larger, and leaves a request unanswered.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct memory_disk;

struct memory_disk_options {
        uint64_t size;                  /* bytes */
        uint16_t n_queues;
        bool has_inband;                /* offers INBAND_NOTIFICATIONS */
        unsigned leave_unanswered;      /* which request it takes and does not answer, and none after it: the how-manieth; 0: answers all */
};

int memory_disk_new(struct memory_disk **ret_disk, const struct memory_disk_options *options);
struct memory_disk *memory_disk_free(struct memory_disk *disk);         /* between two sessions */

/* Serves a connected socket, which it takes over, until that is closed; then memory_disk_end() waits for the thread. */
int memory_disk_begin(struct memory_disk *disk, int fd);
void memory_disk_end(struct memory_disk *disk);

/* Why it has ended the last session itself, in words, or NULL. After memory_disk_end(). */
const char *memory_disk_complaint(const struct memory_disk *disk);

/* Readable once the request is there that it leaves unanswered. */
int memory_disk_stuck_fd(const struct memory_disk *disk);

/* How many requests were answered; whether it has become larger, and could tell the front-end. */
unsigned memory_disk_answered(const struct memory_disk *disk);
bool memory_disk_has_grown(const struct memory_disk *disk);
