/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * vchan-stream: moves a known pattern over a libxenvchan both ways and checks every byte.
 *
 *     vchan-stream serve   DOMID PATH BYTES     the client is in DOMID; PATH may be relative to this domain
 *     vchan-stream connect DOMID PATH BYTES     the server is in DOMID; PATH is absolute
 *
 * The client sends BYTES, then the server sends BYTES, then the client closes and the server reads until it has seen that.
 * Taking turns is deliberate: with the blocking calls and full rings both ways, two writers would wait for each other.
 *
 * Linked against Debian's libxenvchan and nothing else, so that the same binary runs on emulated Xen and on real Xen. It does not
 * wait for the server to be there: node-await does. Exit status: 0, or one of enum ending.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <libxenvchan.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RING_SIZE (16 * 1024)   /* each way: four grants, so that multi-page maps are used, yet small enough to wrap often */
#define CHUNK_SIZE 5000         /* no divisor of the ring, so that a chunk meets the wrap at ever other places */

enum ending {
        ENDING_OK,
        ENDING_ERROR,                   /* could not start: arguments, store, vchan */
        ENDING_PEER_GONE,               /* the peer closed or died before all bytes had passed */
        ENDING_WRONG_DATA,              /* a byte differs, or there are more than agreed */
};

struct stream {
        struct libxenvchan *vchan;
        const char *path;
        uint64_t n_bytes;
        uint64_t die_after;             /* kill this process once so many bytes are sent: the peer must notice */
        int domid;
};

enum seed { SEED_CLIENT = 1, SEED_SERVER = 2 };

/* Depends on all of the offset: a chunk that is lost, doubled or swapped cannot look right. */
static uint8_t pattern_byte(enum seed seed, uint64_t offset) {
        uint64_t x = (offset + 1) * UINT64_C(0x9e3779b97f4a7c15) * seed;

        return x >> 56;
}

static void pattern_fill(enum seed seed, uint64_t offset, uint8_t *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                data[i] = pattern_byte(seed, offset + i);
}

static enum ending pattern_check(enum seed seed, uint64_t offset, const uint8_t *data, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (data[i] != pattern_byte(seed, offset + i)) {
                        fprintf(stderr, "vchan-stream: byte %" PRIu64 " is 0x%02x, not 0x%02x\n", offset + i, data[i],
                                pattern_byte(seed, offset + i));
                        return ENDING_WRONG_DATA;
                }

        return ENDING_OK;
}

static size_t chunk_at(const struct stream *stream, uint64_t offset) {
        uint64_t left = stream->n_bytes - offset;

        return left < CHUNK_SIZE ? left : CHUNK_SIZE;
}

static enum ending stream_send(struct stream *stream, enum seed seed) {
        uint8_t data[CHUNK_SIZE];

        for (uint64_t offset = 0; offset < stream->n_bytes;) {
                size_t n = chunk_at(stream, offset);

                pattern_fill(seed, offset, data, n);
                if (libxenvchan_write(stream->vchan, data, n) != (int) n) {
                        fprintf(stderr, "vchan-stream: peer gone after %" PRIu64 " of %" PRIu64 " bytes sent\n", offset,
                                stream->n_bytes);
                        return ENDING_PEER_GONE;
                }

                offset += n;
                if (offset >= stream->die_after)
                        raise(SIGKILL);
        }

        return ENDING_OK;
}

/*
 * At least one byte, or 0 at the end of the stream. libxenvchan_read() looks for data and then for the peer, so a peer that
 * writes and closes between the two looks leaves bytes behind: only an empty ring is the end.
 */
static size_t stream_read(struct stream *stream, uint8_t *data, size_t size) {
        int n;

        do
                n = libxenvchan_read(stream->vchan, data, size);
        while (n <= 0 && libxenvchan_data_ready(stream->vchan) > 0);

        return n > 0 ? n : 0;
}

static enum ending stream_receive(struct stream *stream, enum seed seed) {
        uint8_t data[CHUNK_SIZE];

        for (uint64_t offset = 0; offset < stream->n_bytes;) {
                size_t n = stream_read(stream, data, chunk_at(stream, offset));
                enum ending ending;

                if (n == 0) {
                        fprintf(stderr, "vchan-stream: peer gone after %" PRIu64 " of %" PRIu64 " bytes received\n", offset,
                                stream->n_bytes);
                        return ENDING_PEER_GONE;
                }

                ending = pattern_check(seed, offset, data, n);
                if (ending != ENDING_OK)
                        return ending;
                offset += n;
        }

        return ENDING_OK;
}

static enum ending stream_await_end(struct stream *stream) {
        uint8_t byte;

        if (stream_read(stream, &byte, sizeof byte) == 0)
                return ENDING_OK;

        fprintf(stderr, "vchan-stream: more than %" PRIu64 " bytes came\n", stream->n_bytes);
        return ENDING_WRONG_DATA;
}

static enum ending stream_serve(struct stream *stream) {
        enum ending ending;

        stream->vchan = libxenvchan_server_init(NULL, stream->domid, stream->path, RING_SIZE, RING_SIZE);
        if (!stream->vchan) {
                fprintf(stderr, "vchan-stream: cannot serve domain %d at %s: %s\n", stream->domid, stream->path, strerror(errno));
                return ENDING_ERROR;
        }
        stream->vchan->blocking = 1;    /* libxenvchan leaves both uninitialised */
        stream->vchan->server_persist = 0;

        ending = stream_receive(stream, SEED_CLIENT);
        if (ending == ENDING_OK)
                ending = stream_send(stream, SEED_SERVER);
        if (ending == ENDING_OK)
                ending = stream_await_end(stream);
        return ending;
}

static enum ending stream_connect(struct stream *stream) {
        enum ending ending;

        stream->vchan = libxenvchan_client_init(NULL, stream->domid, stream->path);
        if (!stream->vchan) {
                fprintf(stderr, "vchan-stream: cannot connect to domain %d at %s: %s\n", stream->domid, stream->path, strerror(errno));
                return ENDING_ERROR;
        }
        stream->vchan->blocking = 1;
        stream->vchan->server_persist = 0;

        ending = stream_send(stream, SEED_CLIENT);
        if (ending == ENDING_OK)
                ending = stream_receive(stream, SEED_SERVER);
        return ending;
}

static enum ending usage(void) {
        fprintf(stderr, "usage: vchan-stream [--die-after BYTES] serve|connect DOMID PATH BYTES\n");
        return ENDING_ERROR;
}

int main(int argc, char **argv) {
        static const struct option options[] = { { "die-after", required_argument, NULL, 'd' }, { 0 } };
        struct stream stream = { .die_after = UINT64_MAX };
        enum ending ending;

        for (int c; (c = getopt_long(argc, argv, "", options, NULL)) >= 0;) {
                if (c != 'd')
                        return usage();
                stream.die_after = strtoull(optarg, NULL, 10);
        }

        if (argc - optind != 4)
                return usage();
        stream.domid = atoi(argv[optind + 1]);
        stream.path = argv[optind + 2];
        stream.n_bytes = strtoull(argv[optind + 3], NULL, 10);

        if (strcmp(argv[optind], "serve") == 0)
                ending = stream_serve(&stream);
        else if (strcmp(argv[optind], "connect") == 0)
                ending = stream_connect(&stream);
        else
                return usage();

        if (stream.vchan)
                libxenvchan_close(stream.vchan);
        if (ending == ENDING_OK)
                printf("%" PRIu64 " bytes each way with domain %d, all right\n", stream.n_bytes, stream.domid);
        return ending;
}
