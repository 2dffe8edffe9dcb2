/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connected sockets: who is run next, for how long, and how one ends that its guest has released. */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "guest-join.h"
#include "guest-private.h"
#include "transfer.h"

#define LINGER_USEC UINT64_C(5000000)   /* how long what was sent may take to leave after RELEASE: a peer that does not read is no hold */

void guest_enqueue(struct socket *socket) {
        struct guest *guest = socket->guest;

        if (socket->queued)
                return;
        socket->queued = true;
        socket->next_in_queue = NULL;
        *guest->queue_tail = socket;
        guest->queue_tail = &socket->next_in_queue;
}

void guest_open_stream(struct socket *socket) {
        const int on = 1;

        /* What is in the ring when we look is a batch already. To hold back the rest of it for an ACK would only delay the guest. */
        (void) setsockopt(socket->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        socket->state = SOCKET_CONNECTED;
        stream_open(&socket->stream, socket->fd);
        if (socket->type == SOCK_DGRAM)
                socket->stream.judge = guest_judge_datagram;
        guest_enqueue(socket);
}

static struct socket *dequeue(struct guest *guest) {
        struct socket *socket = guest->queue;

        guest->queue = socket->next_in_queue;
        if (!guest->queue)
                guest->queue_tail = &guest->queue;
        socket->queued = false;
        return socket;
}

/* Its RELEASE is done: all is given back before the answer says so. */
static void finish(struct socket *socket) {
        struct guest *guest = socket->guest;
        uint32_t req_id = socket->req_id;
        uint64_t id = socket->id;

        socket_free(socket);
        guest_respond(guest, PVCALLS_RELEASE, req_id, id, 0);
}

/* What the rate leaves of a turn, for each way. */
static size_t turn_budget(struct guest *guest) {
        uint64_t left;

        if (guest->terms->limits.bytes_per_second == 0)
                return STREAM_TURN;
        left = (rate_left(&guest->terms->bytes_rate, now_usec()) + 1) / 2;
        return left < STREAM_TURN ? (size_t) left : STREAM_TURN;
}

/* Its turn begins. Returns whether there is a stream to be run. */
static bool begin_turn(struct socket *socket) {
        struct guest *guest = socket->guest;

        if (socket->masked) {
                socket->masked = false;
                xenevtchn_unmask(guest->xen->events, socket->attachment.port);  /* before looking: what comes now comes again */
        }
        if (socket->masked_other)
                xenevtchn_unmask(guest->xen->events, socket->masked_other);
        socket->masked_other = 0;
        return socket->state == SOCKET_CONNECTED || socket->state == SOCKET_CLOSING || socket->state == SOCKET_DEAD;
}

/* r: what stream_run() has returned. */
static void end_turn(struct socket *socket, int r, size_t moved) {
        struct guest *guest = socket->guest;

        if (r < 0) {
                guest_violated(guest, socket->type == SOCK_DGRAM ? "an index or a datagram's header in a data ring cannot be"
                                                                 : "an index of a data ring is more than the ring's size from the other");
                return;
        }
        if (guest->terms->limits.bytes_per_second > 0)
                rate_spend(&guest->terms->bytes_rate, moved, now_usec());
        if (r & STREAM_NOTIFY)
                socket_notify(socket);
        if (socket->stream.joint)
                guest_join_ran(socket, r & STREAM_NOTIFY_OTHER);
        if (socket->state == SOCKET_CLOSING && stream_is_drained(&socket->stream))
                finish(socket);
        else if (r & STREAM_MORE)
                guest_enqueue(socket);
}

static void count(struct socket *socket, uint64_t n_received, uint64_t n_sent) {
        struct counters *counters = &socket->guest->terms->counters;

        counters->received += socket->stream.n_received - n_received;
        counters->sent += socket->stream.n_sent - n_sent;
}

static void run_one(struct socket *socket, size_t budget) {
        uint64_t n_received = socket->stream.n_received, n_sent = socket->stream.n_sent;
        size_t moved;
        int r;

        if (!begin_turn(socket))
                return;
        r = stream_run(&socket->stream, budget, &moved);
        count(socket, n_received, n_sent);
        end_turn(socket, r, moved);
}

/* Sockets whose transfers are run at once. */
struct batch {
        struct transfer transfers[TRANSFERS_MAX];
        size_t n_transfers;
        struct {
                struct socket *socket;
                size_t first;
                int n;
        } turns[TRANSFERS_MAX / 2];
        size_t n_turns;
};

static void batch_add(struct batch *batch, struct socket *socket) {
        int n;

        if (!stream_can_be_prepared(&socket->stream)) {
                run_one(socket, STREAM_TURN);
                return;
        }
        if (!begin_turn(socket))
                return;
        n = stream_prepare(&socket->stream, STREAM_TURN, &batch->transfers[batch->n_transfers]);
        if (n < 0) {
                end_turn(socket, n, 0);
                return;
        }
        batch->turns[batch->n_turns].socket = socket;
        batch->turns[batch->n_turns].first = batch->n_transfers;
        batch->turns[batch->n_turns++].n = n;
        batch->n_transfers += (size_t) n;
}

static void batch_run(struct guest *guest, struct batch *batch) {
        transfers_run(guest->terms->transfers, batch->transfers, batch->n_transfers);
        for (size_t i = 0; i < batch->n_turns; i++) {
                struct socket *socket = batch->turns[i].socket;
                uint64_t n_received = socket->stream.n_received, n_sent = socket->stream.n_sent;
                size_t moved;
                int r = stream_finish(&socket->stream, &batch->transfers[batch->turns[i].first], batch->turns[i].n, &moved);

                count(socket, n_received, n_sent);
                end_turn(socket, r, moved);
        }
        batch->n_transfers = batch->n_turns = 0;
}

/* Runs those up to last. */
static void run_batches(struct guest *guest, const struct socket *last) {
        static struct batch batch;
        struct socket *socket;

        do {
                socket = dequeue(guest);
                batch_add(&batch, socket);
                if (batch.n_turns == TRANSFERS_MAX / 2)
                        batch_run(guest, &batch);
        } while (socket != last && guest->queue && !guest->violation);
        batch_run(guest, &batch);
}

/* Whether io_uring is there, and saves calls: it takes two for itself. What has a rate is run one by one, as each changes what is left. */
static bool is_batch(const struct guest *guest) {
        return guest->terms->transfers && guest->terms->limits.bytes_per_second == 0 &&
               (guest->terms->transfers_always || (guest->queue && guest->queue->next_in_queue && guest->queue->next_in_queue->next_in_queue));
}

bool guest_run_queue(struct guest *guest) {
        struct socket *last = NULL;

        if (guest->queue)               /* who is put behind the last one now has its turn in the next round */
                for (last = guest->queue; last->next_in_queue; last = last->next_in_queue)
                        ;
        if (last && is_batch(guest)) {
                run_batches(guest, last);
                return guest->queue != NULL;
        }
        while (last && guest->queue && !guest->violation) {
                size_t budget = turn_budget(guest);
                struct socket *socket;

                if (budget == 0) {
                        guest_set_timer(guest);
                        return false;
                }
                socket = dequeue(guest);
                if (socket == last)
                        last = NULL;
                run_one(socket, budget);
        }
        return guest->queue != NULL;
}

static void let_linger(struct socket *socket) {
        struct guest *guest = socket->guest;

        socket->linger_until = guest_now(guest) + LINGER_USEC;
        socket->next_closing = NULL;
        *guest->closing_tail = socket;
        guest->closing_tail = &socket->next_closing;
}

void guest_release_stream(struct socket *socket, uint32_t req_id, bool reuse) {
        struct guest *guest = socket->guest;

        socket->req_id = req_id;
        socket->reuse = reuse;
        socket->state = SOCKET_CLOSING;
        socket->stream.draining = true;
        let_linger(socket);
        if (socket->stream.elsewhere)
                guest_join_release(socket);
        guest->timer_due = true;
        guest_enqueue(socket);          /* what the guest has sent just before is looked at once, at least */
}

void guest_end_lingering(struct guest *guest, uint64_t now) {
        while (guest->closing && guest->closing->linger_until <= now) {
                struct socket *socket = guest->closing;

                guest->terms->counters.lingered++;
                if (guest_join_abort(socket)) {         /* the other backend has its pages still */
                        guest->closing = socket->next_closing;
                        if (!guest->closing)
                                guest->closing_tail = &guest->closing;
                        let_linger(socket);
                } else {
                        finish(socket);
                }
        }
}
