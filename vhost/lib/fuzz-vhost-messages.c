/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks a back-end through its socket, and through the memory that it is given.
 *
 * The input is a list of messages: what descriptors come with one, its request, its flags, its size, and as many bytes, of which those that the input
 * has no more of are zeros; and of steps of the device's. Memory that is lent holds the input itself, so that rings are in it.
 *
 * Pages that a domain would grant are that memory's, too: reference n is page n.
 *
 * Invariants: the back-end does not wait, and when the connection is over it has as many descriptors as before, and no granted page.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backend.h"
#include "frontend.h"

#define MEMORY 65536u

#define demand(condition)               \
        do {                            \
                if (!(condition))       \
                        abort();        \
        } while (false)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t n;
};

static struct vhost_queue *running[2];
static int memory_fd, event_fd, pipe_fds[2];
static unsigned n_mapped;               /* granted pages */

static uint8_t next(struct input *input) {
        if (input->n == 0)
                return 0;
        input->n--;
        return *input->data++;
}

static void work(struct vhost_queue *queue) {
        struct iovec iov[32];
        struct vhost_chain chain;

        vhost_queue_clear_kick(queue);
        for (int i = 0; i < 300 && vhost_ring_take(&queue->ring, iov, 32, &chain) > 0; i++) {
                uint64_t n = 0;

                for (size_t k = 0; k < chain.n_out + chain.n_in; k++) {
                        n += iov[k].iov_len;
                        *(volatile uint8_t *) iov[k].iov_base;
                        ((volatile uint8_t *) iov[k].iov_base)[iov[k].iov_len - 1];
                }
                demand(n == chain.n_out_bytes + chain.n_in_bytes && chain.n_out + chain.n_in > 0);
                vhost_ring_put(&queue->ring, &chain, (uint32_t) chain.n_in_bytes);
        }
        vhost_queue_flush(queue);
        vhost_ring_sleep(&queue->ring);
}

static void start(void *userdata, struct vhost_queue *queue) {
        demand(!running[queue->index]);
        running[queue->index] = queue;
        work(queue);
}

static void stop(void *userdata, struct vhost_queue *queue) {
        demand(running[queue->index] == queue);
        running[queue->index] = NULL;
        vhost_queue_stopped(queue);
}

static void get_config(void *userdata, uint32_t offset, uint8_t *to, uint32_t n) {
        demand(n > 0 && offset < 60 && n <= 60 - offset);
        memset(to, 1, n);
}

static int set_config(void *userdata, uint32_t offset, const uint8_t *from, uint32_t n, bool is_migration) {
        demand(n > 0 && offset < 60 && n <= 60 - offset);
        return 0;
}

static int map_grants(void *userdata, uint32_t first_ref, uint32_t n_pages, bool to_write, void **ret_pages) {
        void *pages;

        if (first_ref >= MEMORY / VHOST_XEN_PAGE || n_pages > MEMORY / VHOST_XEN_PAGE - first_ref)
                return -EINVAL;
        pages = mmap(NULL, n_pages * VHOST_XEN_PAGE, PROT_READ | (to_write ? PROT_WRITE : 0), MAP_SHARED, memory_fd, (off_t) first_ref * VHOST_XEN_PAGE);
        demand(n_pages > 0 && pages != MAP_FAILED);
        n_mapped += n_pages;
        *ret_pages = pages;
        return 0;
}

static void unmap_grants(void *userdata, void *pages, uint32_t n_pages) {
        demand(n_pages > 0 && n_pages <= n_mapped && munmap(pages, n_pages * VHOST_XEN_PAGE) == 0);
        n_mapped -= n_pages;
}

static const struct vhost_xen xen = { .domid = 1, .map = map_grants, .unmap = unmap_grants };

static const struct vhost_device device = {
        .n_queues = 2,
        .has_inband = true,
        .xen = &xen,
        .config_size = 60,
        .get_config = get_config,
        .set_config = set_config,
        .start = start,
        .stop = stop,
};

static void send_message(struct vhost_frontend *peer, struct input *input) {
        uint8_t fds_byte = next(input);
        union vhost_payload payload = {};
        uint32_t request = next(input), flags = next(input), n = next(input);
        int fds[10];
        size_t n_fds = fds_byte & 15;

        if (n_fds > 10)
                n_fds = 1;
        for (size_t i = 0; i < n_fds; i++)
                fds[i] = fds_byte & 16 ? pipe_fds[i % 2] : fds_byte & 32 ? event_fd : memory_fd;
        for (uint32_t i = 0; i < n; i++)
                payload.bytes[i] = next(input);
        /* The sum makes the usual flags, version 1, come from a zero. */
        vhost_frontend_send(peer, request, (flags ^ 1) & 0x8f, &payload, n, fds, n_fds);
}

static void prepare(const uint8_t *data, size_t size) {
        if (memory_fd == 0) {
                memory_fd = memfd_create("fuzz", MFD_CLOEXEC);
                event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
                demand(memory_fd > 0 && event_fd > 0 && pipe(pipe_fds) == 0);
        }
        demand(ftruncate(memory_fd, 0) == 0 && ftruncate(memory_fd, MEMORY) == 0);
        demand(pwrite(memory_fd, data, size < MEMORY ? size : MEMORY, 0) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input input = { data, size };
        struct vhost_frontend peer;
        struct vhost_backend *backend;
        int fds[2], before, after;

        prepare(data, size);
        before = dup(0);
        close(before);
        demand(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        demand(vhost_backend_new(&backend, &device, NULL) == 0);
        demand(vhost_backend_open(backend, fds[0]) == 0);
        demand(vhost_frontend_open(&peer, fds[1], 0) == 0);
        while (input.n > 0) {
                struct vhost_message reply;

                send_message(&peer, &input);
                if (vhost_backend_process(backend) == VHOST_BACKEND_CLOSED)
                        break;
                for (int i = 0; i < 2; i++)
                        if (running[i])
                                work(running[i]);
                if (vhost_channel_receive(&peer.channel, &reply) == 0)
                        vhost_message_done(&reply);
        }
        vhost_frontend_close(&peer);
        demand(vhost_backend_process(backend) == VHOST_BACKEND_CLOSED);
        demand(!running[0] && !running[1]);
        vhost_backend_free(backend);
        after = dup(0);
        close(after);
        demand(after == before && n_mapped == 0);
        return 0;
}
