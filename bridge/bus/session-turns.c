/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A domain's turn at the bus.
 *
 * A bus serves connections in turn, and a domain has as many as it has peers: with 64 of them that send all they can, it would have 64 turns
 * where a program of this domain has one. So after every few messages the bus is asked a question on the listener's connection, which has its
 * turn after them, and with two of these unanswered nothing more is read from the ring. Whatever a domain sends, of how many peers it likes,
 * no more of its messages wait at the bus than these, in the long run; and the bus always has some to go on with.
 */

#include "session-private.h"

#define TURN 16u                /* messages. A question and its answer for each are 2 % more work for everybody, if they are calls; for 8, 12 % */
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

int turns_count(struct session *session) {
        int r;

        if (++session->n_in_turn < TURN)
                return 0;
        session->n_in_turn = 0;
        r = connection_call(session->listener, on_answer, session, "GetId", "");
        if (r < 0)
                return r;
        session->n_turns++;
        return 0;
}
