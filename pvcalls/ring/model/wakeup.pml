/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sleeping and notifying on a data ring, for spin(1): does anybody sleep for ever, and is a byte lost or changed on its way?
 *
 * A producer sends LENGTH numbered bytes through a ring of SIZE and then ends the direction with an error; a consumer takes them. Each
 * step of data-ring.c that touches shared memory is a step here, and all orders of steps are explored. Indexes wrap at MODULUS, which the
 * stream passes. Who waits has said so to nobody but by its event word; nobody polls. That both come to their end is that spin finds no
 * invalid end state; that all bytes come in order is asserted.
 *
 * SUPPRESS is notification suppression; without it, version 1. The command ring's two directions follow the same rules as a suppressed
 * consumer, with slots in place of bytes.
 *
 * Loads and stores of indexes and events are sequentially consistent in data-ring.c, so an order of steps is all there is to explore.
 * The mutants show that the model can tell: each is one mistake, and check-models wants each to be found.
 *
 *      WEAK_STORE      an index or event may become visible after the load that follows it, as with a release store
 *      NO_RECHECK      who says that it sleeps does not look again
 *      NOTIFY_FIRST    the peer is notified before the index is stored
 *      INDEX_FIRST     the consumer loads the index before the error
 *      EVENT_LATE      the consumer waits for one byte more than the next
 *      NEVER_ASKED     who sleeps has not asked whether the peer must be notified
 *      FAIL_QUIET      the error is stored and nobody notified
 *      UNCHECKED       the producer does not look how much room there is
 */

#define SIZE 2
#define MODULUS 8
#define LENGTH 9

#define INDEX(x) (((x) + 2 * MODULUS) % MODULUS)
#define PASSED(before, now, event) (INDEX(now - event) < INDEX(now - before))

byte prod, cons, prod_event, cons_event;        /* in shared memory */
bool error;
byte ring[SIZE];

bool consumer_event, producer_event;            /* the ports' pending bits */

#ifdef WEAK_STORE
/* Stores that are on their way: one for each word. */
byte late_prod, late_cons, late_prod_event, late_cons_event;
bool is_late_prod, is_late_cons, is_late_prod_event, is_late_cons_event;
#define STORE(word, value) atomic { late_##word = value; is_late_##word = true }
#define SETTLE(word) (!is_late_##word)
active proctype memory() {
end:    do
        :: atomic { is_late_prod -> prod = late_prod; is_late_prod = false }
        :: atomic { is_late_cons -> cons = late_cons; is_late_cons = false }
        :: atomic { is_late_prod_event -> prod_event = late_prod_event; is_late_prod_event = false }
        :: atomic { is_late_cons_event -> cons_event = late_cons_event; is_late_cons_event = false }
        od
}
#else
#define STORE(word, value) word = value
#define SETTLE(word) true
#endif

/* A notification is a system call, and a wait is one: nothing is on its way after it. */
#define NOTIFY(event, word) SETTLE(word); event = true
#define WAIT(event, word) SETTLE(word); atomic { event -> event = false }

active proctype producer() {
        byte mine = 0, notified = 0, sent = 0, room = 0, want, n = 0, batch = 0;

        if
        :: want = 1
        :: want = SIZE
        fi;

again:  room = SIZE - INDEX(mine - cons);                       /* data_producer_space() */
#ifdef UNCHECKED
        room = SIZE;
#endif
        if
        :: sent == LENGTH -> goto finish
        :: sent < LENGTH && room >= want && batch < 2 ->
                atomic { do
                :: n < room && sent < LENGTH -> ring[mine % SIZE] = sent; sent++; mine = INDEX(mine + 1); n++
                :: n > 0 -> break
                od;
                n = 0 }
#ifdef NOTIFY_FIRST
                NOTIFY(consumer_event, prod);
                STORE(prod, mine);
                notified = mine;
                goto again;
#endif
                STORE(prod, mine);                              /* data_producer_commit() */
                batch++;
                if                                              /* it may go on before it asks */
                :: goto again
                :: skip
                fi
        :: else
        fi;

#ifdef NEVER_ASKED
        if
        :: room < want -> goto sleep
        :: else
        fi;
#endif
        batch = 0;                                              /* data_producer_must_notify() */
#ifdef SUPPRESS
        if
        :: PASSED(notified, mine, prod_event) -> NOTIFY(consumer_event, prod)
        :: else
        fi;
#else
        if
        :: notified != mine -> NOTIFY(consumer_event, prod)
        :: else
        fi;
#endif
        notified = mine;
        if
        :: room >= want -> goto again
        :: else
        fi;

sleep:                                                          /* data_producer_sleep() */
#ifdef SUPPRESS
        STORE(cons_event, INDEX(mine - SIZE + want));
#endif
#ifndef NO_RECHECK
        if
        :: SIZE - INDEX(mine - cons) >= want -> goto again
        :: else
        fi;
#endif
        room = 0;
        WAIT(producer_event, cons_event);
        goto again;

finish: SETTLE(prod);                                           /* data_producer_fail() */
        error = true;
#ifndef FAIL_QUIET
        NOTIFY(consumer_event, prod)
#endif
}

active proctype consumer() {
        byte mine = 0, notified = 0, received = 0, queued = 0, n = 0, batch = 0;
        bool failed = false;

again:                                                          /* data_consumer_next() */
#ifdef INDEX_FIRST
        queued = INDEX(prod - mine);
        failed = error;
#else
        failed = error;
        queued = INDEX(prod - mine);
#endif
        assert(queued <= SIZE);
        if
        :: queued > 0 && batch < 2 ->
                atomic { do
                :: n < queued -> assert(ring[mine % SIZE] == received); received++; mine = INDEX(mine + 1); n++
                :: n > 0 -> break
                od;
                n = 0 }
#ifdef NOTIFY_FIRST
                NOTIFY(producer_event, cons);
                STORE(cons, mine);
                notified = mine;
                goto again;
#endif
                STORE(cons, mine);                              /* data_consumer_commit() */
                batch++;
                if
                :: goto again
                :: skip
                fi
        :: queued == 0 && failed -> goto finish
        :: else
        fi;

#ifdef NEVER_ASKED
        if
        :: queued == 0 -> goto sleep
        :: else
        fi;
#endif
        batch = 0;                                              /* data_consumer_must_notify() */
#ifdef SUPPRESS
        if
        :: PASSED(notified, mine, cons_event) -> NOTIFY(producer_event, cons)
        :: else
        fi;
#else
        if
        :: notified != mine -> NOTIFY(producer_event, cons)
        :: else
        fi;
#endif
        notified = mine;
        if
        :: queued > 0 -> goto again
        :: else
        fi;

sleep:                                                          /* data_consumer_sleep() */
#ifdef SUPPRESS
#ifdef EVENT_LATE
        STORE(prod_event, INDEX(mine + 2));
#else
        STORE(prod_event, INDEX(mine + 1));
#endif
#endif
#ifndef NO_RECHECK
        if
        :: prod != mine -> goto again
        :: else
        fi;
#endif
        failed = false;
        WAIT(consumer_event, prod_event);
        goto again;

finish: assert(received == LENGTH)
}
