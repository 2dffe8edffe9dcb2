/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks rings: the input is the guest's memory, in which the ring lies at its beginning, and an inflight region, which a back-end takes over.
 *
 * Its first bytes say which features were negotiated (split or packed among them), which base, and what the memory is changed to in between. Invariants: every piece lies
 * in memory; a ring that is broken stays so; a back-end that takes over finds no more in flight than there are entries.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

#define SIZE 16u
#define MEMORY 4096u
#define USER UINT64_C(0x7f0000000000)

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int make_memory(const uint8_t *data, size_t size, size_t length) {
        int fd = memfd_create("fuzz", MFD_CLOEXEC);

        demand(fd >= 0 && ftruncate(fd, (off_t) length) == 0);
        demand(pwrite(fd, data, size < length ? size : length, 0) >= 0);
        return fd;
}

static void run(struct vhost_ring *ring, const struct vhost_memory *memory) {
        struct iovec iov[24];
        struct vhost_chain chain;
        int r = 0;

        for (int i = 0; i < 100; i++) {
                r = vhost_ring_take(ring, iov, 24, &chain);
                if (r <= 0)
                        break;
                demand(chain.n_out + chain.n_in <= 24);
                for (size_t k = 0; k < chain.n_out + chain.n_in; k++) {
                        uint64_t at = vhost_memory_guest_address(memory, iov[k].iov_base);

                        demand(vhost_memory_guest(memory, at, iov[k].iov_len) == iov[k].iov_base);
                        if (k >= chain.n_out)
                                memset(iov[k].iov_base, (int) k, iov[k].iov_len < 8 ? iov[k].iov_len : 8);
                }
                if (i % 3 != 0) {
                        vhost_ring_put(ring, &chain, (uint32_t) chain.n_in_bytes);
                        if (i % 2)
                                vhost_ring_publish(ring);
                }
        }
        vhost_ring_publish(ring);
        if (vhost_ring_sleep(ring))
                demand(!ring->is_broken);
        vhost_ring_wake(ring);
        if (r < 0)
                demand(ring->is_broken && vhost_ring_take(ring, iov, 24, &chain) == -EPROTO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        bool is_packed = size > 0 && data[0] & 16;
        const size_t n_inflight = vhost_inflight_bytes(1, SIZE, is_packed);
        struct vhost_inflight inflight = VHOST_INFLIGHT_NONE;
        struct vhost_log log = VHOST_LOG_NONE;
        struct vhost_memory memory = {};
        struct vhost_ring_setup setup = { .size = SIZE, .memory = &memory };
        int memory_fd, inflight_fd;
        uint8_t flags;

        if (size < 4)
                return 0;
        flags = data[0];
        setup.base = is_packed ? data[1] | data[1] << 15 | data[3] << 16 : data[1];
        inflight_fd = make_memory(data + 4, size - 4, n_inflight);
        if (flags & 8)
                size = size > n_inflight + 4 ? size - n_inflight : 4;
        memory_fd = make_memory(data + 4, size - 4, MEMORY);
        demand(vhost_memory_add(&memory, &(struct vhost_region) { 0, MEMORY / 2, USER, 0 }, memory_fd) == 0);
        demand(vhost_memory_add(&memory, &(struct vhost_region) { MEMORY / 2, MEMORY / 2, USER + MEMORY, MEMORY / 2 }, memory_fd) == 0);
        demand(vhost_inflight_open(&inflight, inflight_fd, 0, n_inflight, 1, SIZE, is_packed) == 0);
        demand(vhost_log_open(&log, inflight_fd, 0, 1) == 0);
        setup.address = (struct vhost_vring_address) { .descriptor = USER, .available = USER + 256, .used = USER + 320, .flags = 1 };
        setup.features = (flags & 1 ? VHOST_BIT(VHOST_F_EVENT_IDX) : 0) | (flags & 2 ? VHOST_BIT(VHOST_F_INDIRECT) : 0) |
                         (is_packed ? VHOST_BIT(VHOST_F_PACKED) : 0);
        setup.log = flags & 4 ? &log : NULL;
        setup.inflight = flags & 8 ? vhost_inflight_queue(&inflight, 0) : NULL;
        setup.inflight_packed = flags & 8 ? vhost_inflight_packed_queue(&inflight, 0) : NULL;
        for (int i = 0; i < 2; i++) {
                struct vhost_ring ring;

                if (vhost_ring_init(&ring, &setup) < 0)
                        break;
                demand(ring.resumed.n_heads <= SIZE);
                run(&ring, &memory);
                ((uint8_t *) memory.regions[0].mapping.start)[258] = data[2];   /* the available ring's index, or what a packed ring's driver asks for */
                ((uint8_t *) memory.regions[0].mapping.start)[data[2] & 0xff] = data[3];
                run(&ring, &memory);
                vhost_ring_done(&ring);
        }
        vhost_log_close(&log);
        vhost_inflight_close(&inflight);
        vhost_memory_clear(&memory);
        close(memory_fd);
        close(inflight_fd);
        return 0;
}
