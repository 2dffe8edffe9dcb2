/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk: its file, and what the guest is told of it. */

#include "disk.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <linux/virtio_blk.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define FILE_BLOCK_MAX 4096u
#define LOCK_OFFSET (UINT64_C(1) << 62) /* bytes that no file has, and that nobody else locks: one for each disk of a file */
#define LOCK_UNIT 512u

_Static_assert(offsetof(struct virtio_blk_config, wce) == 32 && offsetof(struct virtio_blk_config, write_zeroes_may_unmap) == 56 &&
                       sizeof(struct virtio_blk_config) >= DISK_CONFIG_SIZE,
               "as VIRTIO 1.2 §5.2.4 has it");

static int open_file(const struct disk_spec *spec) {
        const struct open_how how = {
                .flags = (spec->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC,
                .resolve = spec->directory ? RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS : 0,
        };
        int directory = AT_FDCWD, fd, r;

        if (spec->directory) {
                directory = open(spec->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (directory < 0)
                        return -errno;
        }
        fd = (int) syscall(SYS_openat2, directory, spec->file, &how, sizeof how);
        r = fd < 0 ? -errno : fd;
        if (directory >= 0)
                close(directory);
        return r;
}

/* Of no disk: whoever measures it, locks it and watches it finds a file, in which nothing is ever put. */
static int make_null(uint64_t size) {
        int fd = memfd_create("null-disk", MFD_CLOEXEC), r = 0;

        if (fd < 0 || ftruncate(fd, (off_t) size) < 0)
                r = -errno;
        if (r < 0 && fd >= 0)
                close(fd);
        return r < 0 ? r : fd;
}

/* Whole sectors of the range, as the file is now. */
static int measure(const struct disk *disk, uint64_t size, uint64_t *ret_size) {
        off_t end = lseek(disk->fd, 0, SEEK_END);       /* of block devices as of files */

        if (end < 0)
                return -errno;
        if (disk->offset > (uint64_t) end || size > (uint64_t) end - disk->offset)
                return -EINVAL;
        if (size == 0)
                size = (uint64_t) end - disk->offset;
        *ret_size = size / DISK_SECTOR * DISK_SECTOR;
        return 0;
}

/*
 * What the file is stored in: a guest that knows it lays its partitions and file systems out so that no write of its is two for us. Of a file all that
 * is known is what its file system is made of; more than a page of that is no unit of the storage, but what it likes.
 */
static void look_at_blocks(struct disk *disk) {
        unsigned physical = disk->block_size, least = 0, best = 0;
        struct stat st;

        if (fstat(disk->fd, &st) < 0)
                return;
        if (S_ISBLK(st.st_mode)) {
                if (ioctl(disk->fd, BLKPBSZGET, &physical) < 0 || ioctl(disk->fd, BLKIOMIN, &least) < 0 || ioctl(disk->fd, BLKIOOPT, &best) < 0)
                        return;
        } else {
                physical = st.st_blksize < FILE_BLOCK_MAX ? (unsigned) st.st_blksize : FILE_BLOCK_MAX;
                best = st.st_blksize > FILE_BLOCK_MAX && st.st_blksize < INT32_MAX ? (unsigned) st.st_blksize : 0;
        }
        /* A range that does not begin with a block has none: there is a field for that, but hardly a guest that looks at it. */
        if (physical == 0 || disk->offset % physical != 0)
                return;
        while ((disk->block_size << (disk->physical_exponent + 1)) <= physical)
                disk->physical_exponent++;
        if (least / disk->block_size > 1 && least / disk->block_size <= UINT16_MAX)
                disk->io_min = (uint16_t) (least / disk->block_size);
        disk->io_best = best / disk->block_size;
}

/* Of anything else, an end that is 0 would be taken for a size. */
static int check_kind(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return -errno;
        return S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) ? 0 : -ENOTBLK;
}

int disk_open(struct disk *disk, const struct disk_spec *spec) {
        uint64_t size;
        int r;

        memset(disk, 0, sizeof *disk);
        disk->fd = spec->null_size > 0 ? make_null(spec->null_size) : open_file(spec);
        if (disk->fd < 0)
                return disk->fd;
        disk->is_null = spec->null_size > 0;
        disk->offset = spec->offset;
        disk->is_range = spec->size > 0;
        disk->read_only = spec->read_only;
        disk->block_size = spec->block_size;
        disk->io_min = 1;
        look_at_blocks(disk);
        disk->n_queues = spec->n_queues;
        disk->has_inband = spec->has_inband;
        memcpy(disk->serial, spec->serial, strnlen(spec->serial, sizeof disk->serial)); /* all of it may be text */
        r = check_kind(disk->fd);
        if (r >= 0)
                r = measure(disk, spec->size, &size);
        if (r < 0) {
                disk_close(disk);
                return r == -EINVAL ? -ERANGE : r;
        }
        disk->size = size;
        disk->write_back = true;
        return 0;
}

int disk_lock(const struct disk *disk, bool is_shared, bool wait) {
        struct flock lock = {
                .l_type = disk->read_only || is_shared ? F_RDLCK : F_WRLCK,
                .l_whence = SEEK_SET,
                .l_start = (off_t) (LOCK_OFFSET + disk->offset / LOCK_UNIT),
                .l_len = 1,
        };

        if (fcntl(disk->fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &lock) >= 0)
                return 0;
        return errno == EAGAIN || errno == EACCES || errno == EINTR ? -errno : 0;
}

void disk_close(struct disk *disk) {
        if (disk->fd >= 0)
                close(disk->fd);
        disk->fd = -1;
}

uint64_t disk_features(const struct disk *disk) {
        uint64_t features = 1u << VIRTIO_BLK_F_SEG_MAX | 1u << VIRTIO_BLK_F_BLK_SIZE | 1u << VIRTIO_BLK_F_TOPOLOGY | 1u << VIRTIO_BLK_F_MQ |
                            1u << VIRTIO_BLK_F_FLUSH | 1u << VIRTIO_BLK_F_CONFIG_WCE;

        if (disk->read_only)
                return features | 1u << VIRTIO_BLK_F_RO;
        return features | 1u << VIRTIO_BLK_F_DISCARD | 1u << VIRTIO_BLK_F_WRITE_ZEROES;
}

void disk_get_config(const struct disk *disk, uint32_t offset, uint8_t *to, uint32_t n) {
        const struct virtio_blk_config config = {
                .capacity = htole64(disk->size / DISK_SECTOR),
                .seg_max = htole32(DISK_SEGMENTS_MAX),
                .blk_size = htole32(disk->block_size),
                .physical_block_exp = disk->physical_exponent,
                .min_io_size = htole16(disk->io_min),
                .opt_io_size = htole32(disk->io_best),
                .wce = disk->write_back,
                .num_queues = htole16(disk->n_queues),
                .max_discard_sectors = htole32(DISK_DISCARD_SECTORS_MAX),
                .max_discard_seg = htole32(1),
                .discard_sector_alignment = htole32(disk->block_size / DISK_SECTOR),
                .max_write_zeroes_sectors = htole32(DISK_DISCARD_SECTORS_MAX),
                .max_write_zeroes_seg = htole32(1),
                .write_zeroes_may_unmap = 1,
        };

        memcpy(to, (const uint8_t *) &config + offset, n);
}

int disk_set_config(struct disk *disk, uint32_t offset, const uint8_t *from, uint32_t n) {
        if (offset != offsetof(struct virtio_blk_config, wce) || n != 1)
                return -EPERM;
        if (from[0] > 1)
                return -EINVAL;
        disk->write_back = from[0];
        return 0;
}

int disk_resize(struct disk *disk, uint64_t size) {
        uint64_t new_size;
        int r;

        if (disk->is_range != (size > 0))
                return -EINVAL;
        r = measure(disk, size, &new_size);
        if (r < 0)
                return r;
        if (new_size < disk->size)
                return -EPERM;
        disk->size = new_size;
        return 0;
}
