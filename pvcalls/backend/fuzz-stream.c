/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Attacks what moves bytes: a stream over a socket, with datagrams, and joined to another guest's rings, whose two guests store whatever the input
 * says between turns. The first byte says which; then come operations, each a byte and what it needs behind it.
 *
 * Invariants are the sanitizers', and that a turn moves no more than its budget and a frame.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz-input.h"
#include "joint.h"
#include "stream.h"

#define HALF 4096u
#define BUDGET 1024u

struct world {
        _Alignas(4096) struct pvcalls_indexes indexes[2];
        uint8_t *data[2];
        struct stream stream;
        struct joint joint;
        int fds[2];
};

static int judge(struct stream *stream, const struct pvcalls_name *asked, struct pvcalls_name *ret_used) {
        return -13;                     /* EACCES: what the parser makes of it is all that matters here */
}

static void lie(struct world *world, struct input *input) {
        uint32_t which = next(input, 1), word = next(input, 1) % 32;

        atomic_store(&((_Atomic uint32_t *) &world->indexes[which & 1])[word], next(input, which & 2 ? 4 : 1));
}

static void overwrite(struct world *world, struct input *input) {
        uint32_t which = next(input, 1), at = next(input, 2) % (2 * HALF - 64);

        next_bytes(input, world->data[which & 1] + at, 64);
}

static void run(struct world *world) {
        size_t moved;

        if (stream_run(&world->stream, BUDGET, &moved) >= 0 && moved > 2 * (BUDGET + 2 * HALF))
                abort();
        (void) stream_is_drained(&world->stream);
}

static void step(struct world *world, struct input *input) {
        uint8_t bytes[512];
        size_t n;

        switch (next(input, 1) % 8) {
        case 0: lie(world, input); break;
        case 1: overwrite(world, input); break;
        case 2:
        case 3: run(world); break;
        case 4:
                n = next(input, 1);
                memset(bytes, (int) n, sizeof bytes);
                (void) send(world->fds[1], bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                stream_ready(&world->stream, EPOLLIN);
                break;
        case 5:
                (void) recv(world->fds[1], bytes, sizeof bytes, MSG_DONTWAIT);
                stream_ready(&world->stream, EPOLLOUT);
                break;
        case 6: (void) stream_shutdown_out(&world->stream, next(input, 2)); break;
        case 7:
                world->joint.out_ends = true;
                world->joint.out_end = next(input, 2);
                if (next(input, 1) & 1)
                        stream_shutdown_in(&world->stream);
                break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct input input = { data, size };
        uint32_t kind = next(&input, 1);
        struct world *world = aligned_alloc(4096, (sizeof *world + 4095) / 4096 * 4096);

        if (!world || socketpair(AF_UNIX, (kind % 3 == 1 ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0, world->fds) < 0)
                abort();
        memset((void *) world->indexes, 0, sizeof world->indexes);
        for (int i = 0; i < 2; i++)
                if (!(world->data[i] = calloc(1, 2 * HALF)))    /* apart, so that the sanitizer knows their ends */
                        abort();
        stream_init(&world->stream, &world->indexes[0], world->data[0], HALF, kind & 128);
        joint_init(&world->joint, &world->indexes[1], world->data[1], HALF, kind & 64);
        stream_open(&world->stream, world->fds[0]);
        if (kind % 3 == 1)
                world->stream.judge = judge;
        if (kind % 3 == 2)
                world->stream.joint = &world->joint;
        while (input.n > 0)
                step(world, &input);
        close(world->fds[0]);
        close(world->fds[1]);
        free(world->data[0]);
        free(world->data[1]);
        free(world);
        return 0;
}
