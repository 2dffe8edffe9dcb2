/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A domain's turn at the bus.
 *
 * A bus serves connections in turn, and a domain has as many as it has peers: with 64 of them that send all they can, it would have 64 turns
 * where a program of this domain has one. So after every few messages the bus is asked a question on the listener's connection, which has its
 * turn after them, and with two of these unanswered nothing more is read from the ring. Whatever a domain sends, of how many peers it likes,
 * no more of its messages wait at the bus than these, in the long run; and the bus always has some to go on with.
 *
 * What goes to the bus at once is less work than the same in pieces, and one peer's messages are one connection's. So a turn is long for a few
 * peers, as one client with many calls on their way is, and short for many.
 */

#include "session-private.h"

#define TURN 32u                /* messages. A question and its answer for each are 3 % more work for the bus, if they are calls */
#define TURN_OF_MANY 16u        /* of more peers than */
#define FEW 4u                  /* that sent something lately, which is */
#define LATELY 512u             /* messages: many more than one peer can send before others have their turn on the ring */
#define TURNS_MAX 2u            /* that the bus may have before it */

static void on_answer(void *userdata, const struct message *reply) {
        struct session *session = userdata;

        if (!reply)             /* the listener has gone, and so has the session */
                return;
        session->n_turns--;
        session_kick(session);
}

bool turns_exhausted(const struct session *session) {
        return session->n_turns >= TURNS_MAX;
}

/* Whether many peers have sent something lately, this one among them. */
static bool has_many(struct session *session, struct remote *remote) {
        if (session->n_lately++ == LATELY) {
                session->n_lately = 1;
                session->many = session->n_senders > FEW;
                session->n_senders = 0;
                session->lately++;
        }
        if (remote->lately != session->lately) {
                remote->lately = session->lately;
                session->n_senders++;
        }
        return session->many || session->n_senders > FEW;
}

int turns_count(struct session *session, struct remote *remote) {
        bool many = has_many(session, remote);
        int r;

        if (++session->n_in_turn < (many ? TURN_OF_MANY : TURN))
                return 0;
        session->n_in_turn = 0;
        r = connection_call(session->listener, on_answer, session, "GetId", "");
        if (r < 0)
                return r;
        session->n_turns++;
        return 0;
}
