/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Marks: what the state directory of a service says about whose the state in it is.
 *
 * A service that has handed its state over must not come up with the old one, and one that was given a state must not use it before the other
 * has let go of it, whatever is killed when. So each writes down what it is before it says so to anybody. The file is `handover` in the state
 * directory, three lines of text. A directory without it has never seen a move: Active, epoch 1.
 */

#include <stdint.h>

#define HANDOVER_MARK_PEER_MAX 255u

enum handover_claim {
        HANDOVER_ACTIVE,                /* the state is this service's */
        HANDOVER_RETIRED,               /* it was given away */
        HANDOVER_STAND_BY,              /* it was given, and is not to be used yet */
        _HANDOVER_CLAIM_N,
};

struct handover_mark {
        enum handover_claim claim;
        uint64_t epoch;                 /* the owner's; of what was given away, the one after */
        char peer[HANDOVER_MARK_PEER_MAX + 1];  /* for a person: to whom, from whom */
};

/* -EUCLEAN: what is there is no mark. 0 and Active, epoch 1, if there is none; ret_found, which may be NULL, says so. */
int handover_mark_read(const char *dir, struct handover_mark *ret_mark, int *ret_found);

/* Whole, and on the disk, when it returns. */
int handover_mark_write(const char *dir, const struct handover_mark *mark);

/* The same in two steps: on the disk, but beside the one that counts, and then, with one fsync(), in its place. */
int handover_mark_prepare(const char *dir, const struct handover_mark *mark);
int handover_mark_put(const char *dir);

/* As if there had never been one. Not on the disk yet when it returns. */
int handover_mark_remove(const char *dir);
