/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The memory of a disk's counters. */

#include "disk-counters.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

int disk_counters_map(int fd, disk_counters_line **ret_lines) {
        struct stat st;
        void *memory;

        if (fd >= 0 && fstat(fd, &st) < 0)
                return -errno;
        if (fd >= 0 && (!S_ISREG(st.st_mode) || (uint64_t) st.st_size < DISK_COUNTERS_SIZE))
                return -EINVAL;
        memory = mmap(NULL, DISK_COUNTERS_SIZE, PROT_READ | PROT_WRITE, fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd, 0);
        if (memory == MAP_FAILED)
                return -errno;
        *ret_lines = memory;
        return 0;
}

void disk_counters_unmap(disk_counters_line *lines) {
        if (lines)
                munmap(lines, DISK_COUNTERS_SIZE);
}
