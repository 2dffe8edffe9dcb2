/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "joint.h"

#include <errno.h>
#include <string.h>

#include "error.h"
#include "stream.h"

void joint_init(struct joint *joint, struct pvcalls_indexes *indexes, uint8_t *data, uint32_t size, bool suppress) {
        *joint = (struct joint) {};
        data_producer_init(&joint->in, &indexes->in, data, size, suppress);
        data_consumer_init(&joint->out, &indexes->out, data + size, size, suppress);
}

void joint_end_in(struct joint *joint, int32_t number) {
        if (!joint->in_done)
                data_producer_fail(&joint->in, number);
        joint->in_done = true;
}

void joint_end_out(struct joint *joint, int32_t number) {
        if (!joint->out_done)
                data_consumer_fail(&joint->out, number);
        joint->out_done = true;
}

bool joint_must_notify(struct joint *joint) {
        bool in = data_producer_must_notify(&joint->in), out = data_consumer_must_notify(&joint->out);

        return in || out;
}

/* From data to room, each in two pieces. */
static void copy_pieces(const struct iovec from[2], const struct iovec to[2], size_t n) {
        for (size_t done = 0; done < n;) {
                const struct iovec *f = &from[done >= from[0].iov_len], *t = &to[done >= to[0].iov_len];
                size_t f_at = done >= from[0].iov_len ? done - from[0].iov_len : done;
                size_t t_at = done >= to[0].iov_len ? done - to[0].iov_len : done;
                size_t some = n - done;

                some = some < f->iov_len - f_at ? some : f->iov_len - f_at;
                some = some < t->iov_len - t_at ? some : t->iov_len - t_at;
                memcpy((uint8_t *) t->iov_base + t_at, (const uint8_t *) f->iov_base + f_at, some);
                done += some;
        }
}

static int find_room(struct data_producer *producer, struct iovec pieces[2], size_t *ret_n) {
        int r = data_producer_space(producer, pieces, ret_n);

        if (r < 0 || *ret_n > 0)
                return r;
        r = data_producer_sleep(producer, producer->size / 2);
        return r <= 0 ? r : data_producer_space(producer, pieces, ret_n);
}

/* The other guest's bytes, up to where it says that they end. */
static int find_data(struct joint *joint, struct iovec pieces[2], size_t *ret_n) {
        int r = data_consumer_data(&joint->out, pieces, ret_n);

        if (r == 0 && *ret_n == 0) {
                r = data_consumer_sleep(&joint->out);
                if (r > 0)
                        r = data_consumer_data(&joint->out, pieces, ret_n);
        }
        if (r == 0 && joint->out_ends && *ret_n > joint->out_end - joint->out.cons)
                *ret_n = joint->out_end - joint->out.cons;
        return r;
}

static size_t smallest(size_t a, size_t b, size_t c) {
        size_t least = a < b ? a : b;

        return least < c ? least : c;
}

ssize_t joint_send(struct stream *stream, size_t budget) {
        struct joint *joint = stream->joint;
        struct iovec from[2], to[2];
        size_t n, room;
        int r;

        r = stream_find_data(stream, from, &n);
        if (r < 0 || n == 0)
                return r;
        if (joint->in_done) {
                stream_end_out(stream, pvcalls_error_to_wire(-EPIPE));
                return 0;
        }
        if (find_room(&joint->in, to, &room) < 0) {
                joint->lied = true;
                return 0;
        }
        n = smallest(n, room, budget);
        copy_pieces(from, to, n);
        data_producer_commit(&joint->in, n);
        data_consumer_commit(&stream->out, n);
        return (ssize_t) n;
}

ssize_t joint_receive(struct stream *stream, size_t budget) {
        struct joint *joint = stream->joint;
        struct iovec from[2], to[2];
        size_t n, room;
        int r;

        if (find_data(joint, from, &n) < 0) {
                joint->lied = true;
                return 0;
        }
        if (joint->out_ends && joint->out.cons == joint->out_end) {
                joint_end_out(joint, pvcalls_error_to_wire(-EPIPE));
                stream_end_in(stream, joint->resets ? pvcalls_error_to_wire(-ECONNRESET) : PVCALLS_ENOTCONN);
                return 0;
        }
        if (n == 0)
                return 0;
        r = find_room(&stream->in, to, &room);
        if (r < 0)
                return r;
        n = smallest(n, room, budget);
        copy_pieces(from, to, n);
        data_producer_commit(&stream->in, n);
        data_consumer_commit(&joint->out, n);
        return (ssize_t) n;
}
