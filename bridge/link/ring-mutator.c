/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The other end of a ring, which writes into what both share while it is read, for test-bridge-ring.py: ring-mutator SEED.
 *
 * Of each line "server KIND PATH" on standard input it offers a ring to domain 0, says "PATH offered", and when somebody has taken it, or of
 * "client KIND PATH" takes the ring that domain 0 offers, and changes
 *
 *     data        bytes of frames, before an index that is right
 *     indexes     of both directions
 *     page        all of the shared page but the indexes: sizes, whether they live, what they want to be told of, the list of pages
 *     all         all of that
 *
 * for a moment, as fast as it can. Then it closes the ring.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libxenvchan.h>

#define RING_SIZE (64u * 1024)
#define MOMENT_NSEC 30000000            /* that a ring lasts */
#define WAIT_NSEC UINT64_C(20000000000) /* for somebody to take it */

static uint64_t state;

static uint32_t any(void) {             /* xorshift64: the same for the same seed */
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return (uint32_t) (state >> 16);
}

static uint64_t now(void) {
        struct timespec time;

        clock_gettime(CLOCK_MONOTONIC, &time);
        return (uint64_t) time.tv_sec * 1000000000 + (uint64_t) time.tv_nsec;
}

/* Near to what is right, or far from it. */
static uint32_t like(uint32_t value) {
        static const uint32_t steps[] = { 1, 8, RING_SIZE - 1, RING_SIZE, RING_SIZE + 1, UINT32_C(1) << 31, UINT32_MAX };
        uint32_t r = any();

        return r % 4 == 0 ? r : value + steps[r / 4 % 7];
}

/* Frames without a fault, all over the ring: pings, of 16 bytes each. */
static void fill(struct libxenvchan *ring) {
        static const uint8_t ping[16] = { 8, 0, 0, 0, 15 };

        for (uint32_t at = 0; at < RING_SIZE; at += sizeof ping)
                memcpy((uint8_t *) ring->write.buffer + at, ping, sizeof ping);
}

static void change_data(struct libxenvchan *ring) {
        volatile uint8_t *data = ring->write.buffer;
        uint32_t at = any() % RING_SIZE;

        if (any() % 4 == 0)             /* there is more to read, up to a frame's end */
                ring->write.shr->prod = ring->write.shr->cons + any() % (RING_SIZE / 16 + 1) * 16;
        if (any() % 512 == 0)           /* of one, the length or the type */
                data[at / 16 * 16 + (any() % 2 ? 4 : any() % 4)] = (uint8_t) (any() % 32);
        else if (any() % 64 == 0)
                data[at / 16 * 16 + 8 + any() % 8] ^= (uint8_t) (1u << any() % 8);
}

static void change_indexes(struct libxenvchan *ring) {
        volatile struct ring_shared *of[] = { ring->read.shr, ring->write.shr };
        volatile struct ring_shared *one = of[any() % 2];

        if (any() % 2)
                one->cons = like(one->cons);
        else
                one->prod = like(one->prod);
}

static void change_page(struct libxenvchan *ring) {
        volatile uint8_t *page = (volatile uint8_t *) ring->ring;
        const uint32_t begin = offsetof(struct vchan_interface, left_order);

        if (any() % 2)
                page[begin + any() % 8] = (uint8_t) any();
        else
                page[begin + any() % (1024 - begin)] = (uint8_t) any();
}

static void change(struct libxenvchan *ring, const char *kind) {
        bool all = strcmp(kind, "all") == 0;

        if (all || strcmp(kind, "data") == 0)
                change_data(ring);
        if (all || strcmp(kind, "indexes") == 0)
                change_indexes(ring);
        if (all || strcmp(kind, "page") == 0)
                change_page(ring);
}

static bool is_taken(struct libxenvchan *ring) {
        uint64_t end = now() + WAIT_NSEC;
        const struct timespec moment = { .tv_nsec = 100000 };

        while (libxenvchan_is_open(ring) == 2) {
                if (now() > end)
                        return false;
                nanosleep(&moment, NULL);
        }
        return true;
}

static struct libxenvchan *get_ring(const char *role, const char *path) {
        struct libxenvchan *ring;

        if (strcmp(role, "client") == 0)
                return libxenvchan_client_init(NULL, 0, path);
        ring = libxenvchan_server_init(NULL, 0, path, RING_SIZE, RING_SIZE);
        if (!ring)
                return NULL;
        printf("%s offered\n", path);
        fflush(stdout);
        return is_taken(ring) ? ring : NULL;
}

static bool spoil(const char *role, const char *kind, const char *path) {
        struct libxenvchan *ring = get_ring(role, path);
        uint64_t end;

        if (!ring)
                return false;
        fill(ring);
        end = now() + MOMENT_NSEC;
        for (unsigned n = 0; now() < end; n++) {
                change(ring, kind);
                if (n % 64 == 0)
                        xenevtchn_notify(ring->event, ring->event_port);
        }
        libxenvchan_close(ring);
        return true;
}

int main(int argc, char **argv) {
        char role[8], kind[16], path[64];

        if (argc != 2)
                return EXIT_FAILURE;
        state = strtoull(argv[1], NULL, 10) | 1;
        while (scanf("%7s %15s %63s", role, kind, path) == 3)
                if (!spoil(role, kind, path))
                        return EXIT_FAILURE;
        return EXIT_SUCCESS;
}
