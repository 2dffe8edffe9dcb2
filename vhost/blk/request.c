/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests of VIRTIO's block device. */

#include "request.h"

#include <endian.h>
#include <errno.h>
#include <linux/virtio_blk.h>
#include <string.h>

#define HEADER_SIZE 16u

_Static_assert(sizeof(struct virtio_blk_outhdr) == HEADER_SIZE && sizeof(struct virtio_blk_discard_write_zeroes) == 16, "as in memory");

/* Copies the first n bytes of pieces, and cuts them off. There are as many. */
static void cut_front(struct iovec **iov, size_t *n_iov, void *to, size_t n) {
        while (n > 0) {
                size_t k = (*iov)->iov_len < n ? (*iov)->iov_len : n;

                to = (uint8_t *) memcpy(to, (*iov)->iov_base, k) + k;
                n -= k;
                (*iov)->iov_base = (uint8_t *) (*iov)->iov_base + k;
                (*iov)->iov_len -= k;
                if ((*iov)->iov_len == 0) {
                        (*iov)++;
                        (*n_iov)--;
                }
        }
}

/*
 * How much of the buffer is valid from its first byte on, which is what the used ring tells (VIRTIO 1.2 §2.7.8.2): the data, and the status only if nothing
 * in between was left as it was.
 */
static void set_written(struct request *request, uint64_t n_data) {
        request->n_written = (uint32_t) (n_data + (n_data == request->chain.n_in_bytes - 1));
}

static void answer(struct request *request, uint8_t status) {
        request->action = REQUEST_ANSWER;
        request->status = status;
        set_written(request, 0);
}

/* Where sectors are in the file: whether the disk has them. */
static bool locate(struct request *request, const struct disk *disk, uint64_t sector, uint64_t length) {
        uint64_t size = disk->size;

        if (sector > size / DISK_SECTOR || length > size - sector * DISK_SECTOR || length % DISK_SECTOR != 0)
                return false;
        request->offset = disk->offset + sector * DISK_SECTOR;
        request->length = length;
        return true;
}

static void parse_data(struct request *request, const struct disk *disk, enum request_action action, uint64_t sector, uint64_t length) {
        if ((action == REQUEST_WRITE && disk->read_only) || !locate(request, disk, sector, length))
                answer(request, VIRTIO_BLK_S_IOERR);
        else if (length == 0)
                answer(request, VIRTIO_BLK_S_OK);
        else
                request->action = action;
}

/* DISCARD and WRITE_ZEROES: one range (max_discard_seg is 1). */
static void parse_range(struct request *request, const struct disk *disk, struct iovec *iov, size_t n_iov, uint64_t n_bytes, bool discard) {
        struct virtio_blk_discard_write_zeroes range;
        uint32_t flags, n_sectors;

        if (n_bytes != sizeof range) {
                answer(request, n_bytes > sizeof range ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR);
                return;
        }
        cut_front(&iov, &n_iov, &range, sizeof range);
        flags = le32toh(range.flags);
        n_sectors = le32toh(range.num_sectors);
        if (flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
                answer(request, VIRTIO_BLK_S_UNSUPP);
        else if (disk->read_only || n_sectors > DISK_DISCARD_SECTORS_MAX ||
                 !locate(request, disk, le64toh(range.sector), (uint64_t) n_sectors * DISK_SECTOR))
                answer(request, VIRTIO_BLK_S_IOERR);
        else if (n_sectors == 0)
                answer(request, VIRTIO_BLK_S_OK);
        else
                request->action = discard || flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP ? REQUEST_PUNCH : REQUEST_ZERO;
}

static void parse_id(struct request *request, const struct disk *disk, uint64_t n_bytes) {
        const char *from = disk->serial;
        size_t left = n_bytes < DISK_SERIAL_MAX ? n_bytes : DISK_SERIAL_MAX;

        answer(request, VIRTIO_BLK_S_OK);
        set_written(request, left);
        for (size_t i = 0; i < request->n_data && left > 0; i++) {
                size_t k = request->data[i].iov_len < left ? request->data[i].iov_len : left;

                memcpy(request->data[i].iov_base, from, k);
                from += k;
                left -= k;
        }
}

/* The status is the last byte that the device may write; what is before it is data. */
static void cut_status(struct request *request) {
        struct vhost_chain *chain = &request->chain;
        struct iovec *last = &chain->iov[chain->n_out + chain->n_in - 1];

        last->iov_len--;
        request->status_at = (uint8_t *) last->iov_base + last->iov_len;
        request->data = chain->iov + chain->n_out;
        request->n_data = chain->n_in - (last->iov_len == 0);
}

int request_parse(struct request *request, const struct disk *disk) {
        struct vhost_chain *chain = &request->chain;
        struct virtio_blk_outhdr header;
        struct iovec *out = chain->iov;
        size_t n_out = chain->n_out;
        uint64_t n_out_bytes = chain->n_out_bytes - HEADER_SIZE, n_in_bytes = chain->n_in_bytes - 1;

        if (chain->n_out_bytes < HEADER_SIZE || chain->n_in_bytes < 1)
                return -EPROTO;
        cut_front(&out, &n_out, &header, sizeof header);
        cut_status(request);
        switch (le32toh(header.type)) {
        case VIRTIO_BLK_T_IN:
                parse_data(request, disk, REQUEST_READ, le64toh(header.sector), n_in_bytes);
                break;
        case VIRTIO_BLK_T_OUT:
                request->data = out;
                request->n_data = n_out;
                parse_data(request, disk, REQUEST_WRITE, le64toh(header.sector), n_out_bytes);
                break;
        case VIRTIO_BLK_T_FLUSH:
                request->action = REQUEST_FLUSH;
                break;
        case VIRTIO_BLK_T_GET_ID:
                parse_id(request, disk, n_in_bytes);
                break;
        case VIRTIO_BLK_T_DISCARD:
                parse_range(request, disk, out, n_out, n_out_bytes, true);
                break;
        case VIRTIO_BLK_T_WRITE_ZEROES:
                parse_range(request, disk, out, n_out, n_out_bytes, false);
                break;
        default:
                answer(request, VIRTIO_BLK_S_UNSUPP);
        }
        return 0;
}

void request_end(struct request *request, int r) {
        request->status = r < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
        set_written(request, request->action == REQUEST_READ && r >= 0 ? request->length : 0);
}

void request_answer(struct request *request) {
        *request->status_at = request->status;
}
