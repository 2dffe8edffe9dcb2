/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Streams: a connected socket on one side, and the two data rings of a guest's socket on the other.
 *
 * Bytes go straight between the socket and the shared pages. A stream is run in turns of bounded work, whenever its socket or its guest
 * may have something new. It knows nothing of Xen: who runs it sends the notifications that it asks for, and so it can be tested on
 * any memory.
 *
 * What the guest finds at an end, as Linux's backend has it: when the peer has sent all, in_error is ENOTCONN; when bytes cannot be sent,
 * out_error says why; what breaks both ways is in both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sys/uio.h>

#include "data-ring.h"
#include "name.h"

#define STREAM_TURN (256u * 1024)       /* bytes each way in a turn: some 50 us of copying, after which others have theirs */

enum stream_outcome {                   /* bits of a positive result of stream_run() */
        STREAM_MORE = 1,                /* there is more to do right away */
        STREAM_NOTIFY = 2,              /* the guest must be notified */
        STREAM_NOTIFY_OTHER = 4,        /* the guest that it is joined to must be */
};

struct stream;
struct transfer;

/* Whether a datagram may go to an address, and to which then: 0, or a negative errno for the guest. */
typedef int (*stream_judge)(struct stream *stream, const struct pvcalls_name *asked, struct pvcalls_name *ret_used);

struct stream {
        int fd;                         /* non-blocking; the caller's */
        struct data_producer in;
        struct data_consumer out;
        bool readable, writable;        /* unless it has said that it is not */
        bool hung_up;                   /* the peer has sent its end: a short read does not mean that there is no more */
        bool in_done, out_done;         /* this direction has ended, and the guest was told */
        bool draining;                  /* the guest has released it: only what it has already sent matters */
        bool out_ends;                  /* the guest has said where out ends: what is beyond is not sent */
        uint32_t out_end;
        struct joint *joint;            /* its peer is another guest (joint.h); NULL: it is not, and there is fd */
        bool elsewhere;                 /* another backend moves the bytes */
        stream_judge judge;             /* it has datagrams (datagram.h); NULL: bytes */
        uint64_t n_received, n_sent;    /* bytes to and from the guest */
};

/* size: bytes of each of the two rings, which lie one behind the other in data. fd may be -1 until stream_open(). */
void stream_init(struct stream *stream, struct pvcalls_indexes *indexes, uint8_t *data, uint32_t size, bool suppress);

/* From now on, fd is connected. */
void stream_open(struct stream *stream, int fd);

/* What epoll says of the socket, which it watches edge-triggered. */
void stream_ready(struct stream *stream, uint32_t events);

/* One turn, of at most budget bytes each way. Returns bits of enum stream_outcome, or -EPROTO: the guest has written what cannot be. */
int stream_run(struct stream *stream, size_t budget, size_t *ret_moved);

/*
 * The same in two steps, so that the transfers of many streams can be run at once: at most one each way. stream_prepare() returns how many there are,
 * or -EPROTO; stream_finish() what stream_run() does. Only for bytes and a socket.
 */
bool stream_can_be_prepared(const struct stream *stream);
int stream_prepare(struct stream *stream, size_t budget, struct transfer *ret_transfers);
int stream_finish(struct stream *stream, const struct transfer *transfers, int n, size_t *ret_moved);

/* Ends both directions with a negative errno. The guest must be notified. */
void stream_fail(struct stream *stream, int error);

/*
 * The guest's half closes. What comes from the peer is not wanted any more: in ends at once. out ends when all up to the index has been
 * sent, by the connection's end; -EINVAL: it cannot be there. The stream must be run then.
 */
void stream_shutdown_in(struct stream *stream);
int stream_shutdown_out(struct stream *stream, uint32_t untrusted_out_prod);

/* Ends one direction, with a negative number of error.h, unless it has ended. */
void stream_end_in(struct stream *stream, int32_t number);
void stream_end_out(struct stream *stream, int32_t number);

/* Bytes to be sent, up to where out ends. If there are none, the guest is asked to say when there are, and looked for once more. */
int stream_find_data(struct stream *stream, struct iovec pieces[2], size_t *ret_n);

/* While draining: nothing is left to be sent, or nothing can be. */
bool stream_is_drained(const struct stream *stream);
