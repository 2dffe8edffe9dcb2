/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A disk: the file or block device, or the range of one, that a guest sees, and its VIRTIO configuration space.
 *
 * Its size may grow while queues are at work: each request looks at it once.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "rate.h"

#define DISK_SECTOR 512u
#define DISK_SERIAL_MAX 20u             /* VIRTIO_BLK_ID_BYTES */
#define DISK_SEGMENTS_MAX 126u          /* pieces of one request: with header and status, as many as QEMU's usual ring has */
#define DISK_DISCARD_SECTORS_MAX (1u << 21)     /* of one DISCARD or WRITE_ZEROES, 1 GiB: so that none takes for ever */
#define DISK_CONFIG_SIZE 60u            /* up to and with write_zeroes_may_unmap */

struct disk_spec {
        const char *directory;          /* that file is beneath, without a symbolic link on the way; NULL: file is any path */
        const char *file;
        const char *serial;
        uint64_t offset, size;          /* of the range; size 0: up to the end */
        uint64_t null_size;             /* not 0: there is no file, and as many bytes of nothing */
        uint32_t block_size;            /* that the guest is told of */
        uint16_t n_queues;
        bool has_inband;                /* notifications may be messages */
        bool read_only;
};

struct disk {
        int fd;
        uint64_t offset;
        _Atomic uint64_t size;          /* bytes, whole sectors */
        bool is_null;                   /* whatever is asked of it succeeds at once: nothing is read or written */
        bool is_range;                  /* its size was given: it does not follow the file's */
        bool read_only;
        atomic_bool write_back;         /* the guest's driver flushes by itself */
        char serial[DISK_SERIAL_MAX];
        uint32_t block_size;
        uint8_t physical_exponent;      /* 1 << this blocks are what the storage below reads and writes at the least */
        uint16_t io_min;                /* blocks that it likes to be read and written at the least, */
        uint32_t io_best;               /* and at best; 0: it does not say */
        uint16_t n_queues;
        bool has_inband;                /* notifications may be messages */
        struct rate rate;
        _Atomic uint64_t pinned_bytes;  /* of the guest's memory, now, once for each queue */
        _Atomic uint64_t n_fixed;       /* reads and writes that made use of it */
        atomic_bool pin_refused;
};

/*
 * Makes sure that nobody else serves the disk, in whichever domain: who writes is alone, unless all say that they share it. wait: until that is so; else
 * -EAGAIN. Where files cannot be locked, nobody is kept from anything. The lock is the open file's, so that it is there until all I/O has ended, even
 * that of a process which was killed.
 */
int disk_lock(const struct disk *disk, bool is_shared, bool wait);

/* -ERANGE: a range that the file does not have. -ENOTBLK: neither a file nor a block device. */
int disk_open(struct disk *disk, const struct disk_spec *spec);
void disk_close(struct disk *disk);

/* Features of VIRTIO's block device that it has. */
uint64_t disk_features(const struct disk *disk);

/* n bytes of the configuration space. */
void disk_get_config(const struct disk *disk, uint32_t offset, uint8_t *to, uint32_t n);

/* Only writeback may be set. -EPERM. */
int disk_set_config(struct disk *disk, uint32_t offset, const uint8_t *from, uint32_t n);

/*
 * Is of another size now: that of its file (size 0), or of its range. -EINVAL: the file has no such range. -EPERM: it would be smaller, which a
 * guest cannot be asked to believe.
 */
int disk_resize(struct disk *disk, uint64_t size);
