/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Counters of a disk: how they lie in memory, which another process may have lent, and read at any moment.
 *
 * A line of numbers for each queue, 64 bytes, so that no two queues write to the same part of a cache. Numbers are of the machine's byte order, and only
 * grow: a process that is given the memory of its predecessor goes on counting. Sums over all lines are what counts.
 */

#include <stdint.h>

enum disk_counter {                     /* the order within a line: never changed, as processes of two versions may share it */
        DISK_READS,
        DISK_WRITES,
        DISK_FLUSHES,
        DISK_DISCARDS,                  /* and WRITE_ZEROES */
        DISK_OTHERS,
        DISK_ERRORS,
        DISK_READ_BYTES,
        DISK_WRITTEN_BYTES,
        _DISK_COUNTER_N,
};

#define DISK_COUNTERS_LINES 256u        /* as many as a device has queues at the most */

typedef _Atomic uint64_t disk_counters_line[_DISK_COUNTER_N];

_Static_assert(sizeof(disk_counters_line) == 64, "a line of a cache, and of those that processes of other versions share");

#define DISK_COUNTERS_SIZE (DISK_COUNTERS_LINES * sizeof(disk_counters_line))

/* The memory: that of a file of at least DISK_COUNTERS_SIZE bytes (-EINVAL: it has not), or (fd -1) zeros that nobody else sees. */
int disk_counters_map(int fd, disk_counters_line **ret_lines);
void disk_counters_unmap(disk_counters_line *lines);

static inline uint64_t disk_counters_sum(const disk_counters_line *lines, enum disk_counter counter) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < DISK_COUNTERS_LINES; i++)
                sum += lines[i][counter];
        return sum;
}
