/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Claims: whose turn it is to use something.
 *
 * A resource is used by any number of claims that share it (or as many as it has room for), or by a single one that does not. Claims are
 * granted in the order in which they were made: nobody is overtaken, so that whoever wants all of it comes to his turn. Pure: no I/O
 * and no memory of its own.
 */

#include <stdbool.h>
#include <stddef.h>

struct claim {
        struct resource *resource;      /* NULL: not made */
        bool exclusive;
        bool granted;
        void (*on_granted)(struct claim *claim);        /* when it had to wait; may release this claim or others */
        void *userdata;
        struct claim *previous, *next;  /* of those that wait */
};

struct resource {
        unsigned room;                  /* how many may share it; 0: any number */
        unsigned n_shared;
        bool is_exclusive;
        struct claim *first, *last;     /* those that wait */
        size_t n_waiting;
};

/* Makes a claim: true if it is granted at once, else on_granted is called when it is. */
bool claim_make(struct claim *claim, struct resource *resource, bool exclusive);

/* Gives it up, granted or not. Nothing happens if it was not made. */
void claim_release(struct claim *claim);
