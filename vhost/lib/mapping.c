/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Mappings that survive a peer who truncates what is mapped. */

#include "mapping.h"

#include <errno.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define GUARDS_MAX 4096                 /* mappings of a process: of sixty devices with all their memory slots */

/* Read by the handler at any moment: start is set last, and cleared first. */
static struct guard {
        atomic_bool taken, lost;
        atomic_uintptr_t start;
        atomic_size_t length;
        size_t page;
} guards[GUARDS_MAX];

static struct sigaction previous;

static void on_sigbus(int signal, siginfo_t *info, void *context) {
        uintptr_t address = (uintptr_t) info->si_addr;

        for (size_t i = 0; info->si_code > 0 && i < GUARDS_MAX; i++) {
                uintptr_t start = atomic_load(&guards[i].start);
                size_t page = guards[i].page;

                if (start == 0 || address < start || address - start >= atomic_load(&guards[i].length))
                        continue;
                /* mmap() is a plain system call, and nothing else is called here. */
                if (mmap((void *) (address & ~(page - 1)), page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
                    MAP_FAILED)
                        break;
                atomic_store(&guards[i].lost, true);
                return;
        }
        sigaction(SIGBUS, &previous, NULL);     /* not ours: it comes again at once, and takes its usual course */
}

int vhost_mapping_guard(void) {
        static atomic_bool done;
        struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

        if (atomic_exchange(&done, true))
                return 0;
        return sigaction(SIGBUS, &action, &previous) < 0 ? -errno : 0;
}

/* -1: there are too many. */
static int guard_take(void *base, size_t length, size_t page) {
        for (int i = 0; i < GUARDS_MAX; i++) {
                if (atomic_exchange(&guards[i].taken, true))
                        continue;
                guards[i].page = page;
                atomic_store(&guards[i].lost, false);
                atomic_store(&guards[i].length, length);
                atomic_store(&guards[i].start, (uintptr_t) base);
                return i;
        }
        return -1;
}

/* What offsets and lengths of a mapping of this file are multiples of. */
static int page_size(int fd, size_t *ret_page) {
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return -errno;
        *ret_page = fs.f_type == HUGETLBFS_MAGIC ? (size_t) fs.f_bsize : 4096;
        return 0;
}

int vhost_mapping_open(struct vhost_mapping *mapping, int fd, uint64_t offset, uint64_t size) {
        uint64_t end, skip;
        struct stat st;
        size_t page = 4096, length;
        void *base;
        int guard, r;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode))
                return -ENODEV;
        if (size == 0 || __builtin_add_overflow(offset, size, &end) || end > (uint64_t) st.st_size)
                return -EINVAL;
        r = page_size(fd, &page);
        if (r < 0)
                return r;
        skip = offset % page;
        base = mmap(NULL, skip + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t) (offset - skip));
        if (base == MAP_FAILED)
                return -errno;
        length = (skip + size + page - 1) / page * page;        /* as munmap() of huge pages wants it */
        guard = guard_take(base, skip + size, page);
        if (guard < 0) {
                munmap(base, length);
                return -EMFILE;
        }
        *mapping = (struct vhost_mapping) { .base = base, .length = length, .start = (uint8_t *) base + skip, .guard = guard };
        return 0;
}

void vhost_mapping_close(struct vhost_mapping *mapping) {
        if (mapping->guard >= 0) {
                atomic_store(&guards[mapping->guard].start, 0);
                atomic_store(&guards[mapping->guard].taken, false);
        }
        if (mapping->base)
                munmap(mapping->base, mapping->length);
        *mapping = (struct vhost_mapping) VHOST_MAPPING_NONE;
}

bool vhost_mapping_is_lost(const struct vhost_mapping *mapping) {
        return mapping->guard >= 0 && atomic_load(&guards[mapping->guard].lost);
}
